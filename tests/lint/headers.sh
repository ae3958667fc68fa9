#!/bin/sh
# Every header compiles alone: whoever includes it needs nothing before it.
set -u
root=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cc=${CC:-cc}
flags=$(pkg-config --cflags libcurl libcjson sqlite3 inih libedit libmicrohttpd hiredis 2>/dev/null)
cd "$root" || exit 1

n=0
bad=0
list=$(find include lib model engines plan cli commands agent tests -name '*.h' | sort)
echo "1..$(echo "$list" | wc -l)"
for header in $list; do
    n=$((n + 1))
    # shellcheck disable=SC2086
    if text=$(printf '#include "%s"\n' "$header" |
        $cc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Iinclude -I. -Itests/unit \
            $flags -fsyntax-only -x c - 2>&1); then
        echo "ok $n - $header"
    else
        echo "$text" | sed 's/^/# /'
        echo "not ok $n - $header"
        bad=1
    fi
done
exit $bad
