/* The operation "stop". */
#pragma once

#include "agent/operations.h"

int stop_run(struct operation *op, struct problem *pb);
