/*
 * Crash points. Every journal commit and every HTTP exchange passes one before and one after.
 * KVSH_CRASH_AT=n kills the process (SIGKILL) at its n-th point; KVSH_CRASH_COUNT=file appends each
 * point's name to that file, so that a test can enumerate them. KVSH_CRASH_IN=WORD limits both to
 * processes that have this word among their arguments, KVSH_CRASH_IN=!WORD to those that have not:
 * "run-plan" is the runner, "!run-plan" the shell. Without these variables a point costs a branch.
 */
#pragma once

void fault_point(const char *name);
