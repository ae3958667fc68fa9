#include "http_curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/mem.h"

#define CURL_LIBRARY "libcurl.so.4"

static const struct {
    const char *name;
    size_t offset;
} symbols[] = {
#define SYMBOL(member)                                     \
    {                                                      \
        "curl_" #member, offsetof(struct curl_api, member) \
    }
    SYMBOL(global_init_mem),  SYMBOL(easy_init),           SYMBOL(easy_setopt),
    SYMBOL(easy_perform),     SYMBOL(easy_getinfo),        SYMBOL(easy_reset),
    SYMBOL(easy_cleanup),     SYMBOL(easy_strerror),       SYMBOL(slist_append),
    SYMBOL(slist_free_all),   SYMBOL(multi_init),          SYMBOL(multi_setopt),
    SYMBOL(multi_add_handle), SYMBOL(multi_remove_handle), SYMBOL(multi_perform),
    SYMBOL(multi_poll),       SYMBOL(multi_info_read),     SYMBOL(multi_cleanup),
#undef SYMBOL
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct curl_api api;
static char fault[256]; /* why there is no libcurl; "" when there is one */

/* Memory that libcurl does not get ends the process as everywhere else, instead of being told as a
 * request that failed for another reason. */
static void *resize(void *p, size_t size)
{
    return xrealloc(p, size, 1);
}

static void load(void)
{
    void *lib = dlopen(CURL_LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!lib) {
        snprintf(fault, sizeof fault, "load %s", dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(lib, symbols[i].name);

        if (!symbol) {
            snprintf(fault, sizeof fault, "%s has no %s", CURL_LIBRARY, symbols[i].name);
            return;
        }
        memcpy((char *)&api + symbols[i].offset, &symbol, sizeof symbol);
    }
    if (api.global_init_mem(CURL_GLOBAL_DEFAULT, xmalloc, free, resize, xstrdup, xcalloc) !=
        CURLE_OK)
        snprintf(fault, sizeof fault, "%s cannot be initialised", CURL_LIBRARY);
}

const struct curl_api *curl_api(struct err *err)
{
    pthread_once(&once, load);
    if (!*fault)
        return &api;
    err_set(err, ERR_INTERNAL, "%s", fault);
    err_advise(err, "install libcurl (its library is called %s)", CURL_LIBRARY);
    return NULL;
}
