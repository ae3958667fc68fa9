/*
 * Memory. Allocation failure ends the process with a message: no caller checks for NULL. Sizes that
 * come from the network are limited before they reach these functions (see buf.h, http.h, json.h).
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size); /* zeroed; overflow ends the process */
void *xrealloc(void *ptr, size_t count, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/*
 * An arena: objects that live and die together (one command, one observation, one plan). Nothing
 * in it is freed by hand. Zero-initialised struct arena is valid and empty.
 */
struct arena {
    struct arena_block *head;
};

void *arena_alloc(struct arena *a, size_t size);    /* zeroed, aligned for any object */
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_release(struct arena *a); /* frees everything; the arena is empty and usable again */

/*
 * Makes room for one more element in an arena array and returns its address, zeroed.
 * `items` is the array variable, `n` the count variable; capacity is the next power of two, so no
 * third variable is needed. Old arrays stay in the arena until it is released, and growing moves
 * the elements: do not keep pointers to elements while still pushing.
 */
#define ARENA_PUSH(arena, items, n) \
    ((items) = arena_grow((arena), (items), (n), sizeof *(items)), &(items)[(n)++])
void *arena_grow(struct arena *a, void *items, size_t n, size_t size);
