#!/bin/sh
# The sources are formatted by clang-format 14, the version the rules were written for.
set -u
root=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$root" || exit 1

echo 1..1
if ! command -v clang-format-14 >/dev/null; then
    echo "# clang-format-14 is missing: apt-get install clang-format-14 (scripts/check does)"
    echo "not ok 1 - C sources are formatted"
    exit 1
fi
if text=$(find include lib model engines plan cli commands agent tests -name '*.[ch]' -print0 |
    xargs -0 clang-format-14 --dry-run -Werror 2>&1); then
    echo "ok 1 - C sources are formatted"
else
    echo "$text" | grep error: | sed 's/^/# /'
    echo "not ok 1 - C sources are formatted"
    exit 1
fi
