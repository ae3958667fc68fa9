#include "kvsh/fs.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const int64_t YEAR_10000_MS = INT64_C(253402300800000);
static const int64_t DAY_MS = INT64_C(86400000);

static int64_t clock_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t time_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t time_mono_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

void time_sleep_ms(int ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    if (ms <= 0)
        return;
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

/* Breaks ms down; false for 0 and for what a four-digit year cannot say. */
static bool broken_down(int64_t ms, struct tm *tm, int *millis)
{
    time_t sec = (time_t)(ms / 1000);

    *millis = (int)(ms % 1000);
    return ms > 0 && ms < YEAR_10000_MS && gmtime_r(&sec, tm);
}

void time_text(int64_t ms, char out[32])
{
    struct tm tm;
    int millis;

    out[0] = '\0';
    if (broken_down(ms, &tm, &millis))
        strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

void time_rfc3339(int64_t ms, char out[32])
{
    struct tm tm;
    int millis;

    out[0] = '\0';
    if (!broken_down(ms, &tm, &millis))
        return;
    strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + strlen(out), 32 - strlen(out), ".%03dZ", millis);
}

/* Exactly n digits at *s as a number within min..max; moves *s behind them. */
static bool take_digits(const char **s, int n, int min, int max, int *value)
{
    int v = 0;

    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*s)[i]))
            return false;
        v = v * 10 + ((*s)[i] - '0');
    }
    *s += n;
    *value = v;
    return v >= min && v <= max;
}

static bool take_char(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

/* HH:mm[:ss[.SSS]]; moves *s behind it. */
static bool take_clock(const char **s, int64_t *ms)
{
    int hour, minute, second = 0, millis = 0;

    if (!take_digits(s, 2, 0, 23, &hour) || !take_char(s, ':') ||
        !take_digits(s, 2, 0, 59, &minute))
        return false;
    if (take_char(s, ':')) {
        if (!take_digits(s, 2, 0, 59, &second))
            return false;
        if (take_char(s, '.') && !take_digits(s, 3, 0, 999, &millis))
            return false;
    }
    *ms = (((int64_t)hour * 60 + minute) * 60 + second) * 1000 + millis;
    return true;
}

static bool parse_clock(const char *s, int64_t *ms)
{
    return take_clock(&s, ms) && *s == '\0';
}

/* Behind a date: a blank or T and the time of day; T and Z as in the times of our own JSON. */
static bool parse_rest(const char *s, int64_t *ms)
{
    bool with_t = take_char(&s, 'T');

    if ((!with_t && !take_char(&s, ' ')) || !take_clock(&s, ms))
        return false;
    if (with_t)
        take_char(&s, 'Z');
    return *s == '\0';
}

/* yyyy-MM-dd or MM-dd-yyyy, then nothing or the time of day. */
static bool parse_date(const char *s, int64_t *ms)
{
    bool year_first = strcspn(s, "-") == 4;
    int year = 0, month, day;
    int64_t clock = 0;
    struct tm tm = {0};
    time_t t;

    if (year_first && (!take_digits(&s, 4, 1970, 9999, &year) || !take_char(&s, '-')))
        return false;
    if (!take_digits(&s, 2, 1, 12, &month) || !take_char(&s, '-') ||
        !take_digits(&s, 2, 1, 31, &day))
        return false;
    if (!year_first && (!take_char(&s, '-') || !take_digits(&s, 4, 1970, 9999, &year)))
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    t = timegm(&tm);
    if (tm.tm_mday != day) /* 31 April has become 1 May */
        return false;
    if (*s && !parse_rest(s, &clock))
        return false;
    *ms = (int64_t)t * 1000 + clock;
    return true;
}

int time_parse(const char *text, int64_t *ms, struct err *err)
{
    int64_t clock;

    if (parse_date(text, ms))
        return 0;
    if (parse_clock(text, &clock)) {
        int64_t now = time_now_ms();

        *ms = now - now % DAY_MS + clock;
        return 0;
    }
    err_set(err, ERR_INPUT, "\"%s\" is not a time", text);
    return err_advise(err, "use yyyy-MM-dd[ HH:mm[:ss[.SSS]]], MM-dd-yyyy[ HH:mm[:ss[.SSS]]], "
                           "HH:mm[:ss[.SSS]] (today), or a time as -json prints it; all in UTC");
}
