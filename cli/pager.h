/* A pager for results that are longer than the screen. */
#pragma once

#include <stdio.h>

/* $PAGER (or less, or more) with its input open for writing; NULL when it does not start. */
FILE *pager_open(void);
void pager_close(FILE *pager);
