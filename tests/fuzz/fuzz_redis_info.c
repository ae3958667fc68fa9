/* Whatever a server sends as INFO, as its log or as its last words: decoding stays within bounds.
 */
#include <string.h>

#include "agent/logrules.h"
#include "agent/redis_decode.h"
#include "agent/text.h"
#include "fuzz.h"
#include "kvsh/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xstrndup((const char *)data, size), *escaped;
    struct arena a = {NULL};
    struct redis_info info;
    char out[64];
    const char *advice = NULL;
    int rule;

    redis_info_decode(text, &a, &info);
    FUZZ_CHECK(strlen(info.version) < sizeof info.version);
    FUZZ_CHECK(strlen(info.replid) <= REDIS_ID_LEN);
    FUZZ_CHECK(info.n_replicas <= 1000);
    for (size_t i = 0; i < info.n_replicas; i++)
        FUZZ_CHECK(strlen(info.replicas[i].host) < sizeof info.replicas[i].host);
    if (redis_field(text, "role", out, sizeof out))
        FUZZ_CHECK(strlen(out) < sizeof out && !strchr(out, '\n'));
    redis_start_reason(text, text, out, sizeof out, &advice);
    FUZZ_CHECK(out[0] && advice);
    rule = log_rule_match(text);
    FUZZ_CHECK(rule < 0 || log_rule_at(rule));
    escaped = text_escape((const char *)data, size);
    FUZZ_CHECK(text_is_plain(escaped, strlen(escaped)));
    free(escaped);
    arena_release(&a);
    free(text);
    return 0;
}
