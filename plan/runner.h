/* Inside plan/: the executor's word to the shell that waits for the runner to begin. */
#pragma once

void runner_ready(int ready_fd);
