# KVSH_TRY_FLAGS(VARIABLE, FLAGS): appends each compiler flag that compiles and links without a complaint.
AC_DEFUN([KVSH_TRY_FLAGS], [
  for kvsh_flag in $2; do
    AC_MSG_CHECKING([whether $CC accepts $kvsh_flag])
    kvsh_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $kvsh_flag"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
      [AC_MSG_RESULT([yes]); $1="$$1 $kvsh_flag"],
      [AC_MSG_RESULT([no])])
    CFLAGS=$kvsh_save_CFLAGS
  done
])

AC_DEFUN([KVSH_WARNINGS], [
  AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors (for CI)])],
    [], [enable_werror=no])
  WARN_CFLAGS=
  KVSH_TRY_FLAGS([WARN_CFLAGS], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes dnl
    -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wcast-qual -Wformat=2 dnl
    -Wno-missing-field-initializers -Wno-format-nonliteral])
  AS_IF([test "x$enable_werror" = xyes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
  AC_SUBST([WARN_CFLAGS])
])

AC_DEFUN([KVSH_SANITIZER], [
  AC_ARG_ENABLE([sanitizer],
    [AS_HELP_STRING([--enable-sanitizer=LIST], [build with these sanitizers, e.g. address,undefined or thread])],
    [], [enable_sanitizer=no])
  SANITIZER_CFLAGS=
  AS_IF([test "x$enable_sanitizer" != xno], [
    SANITIZER_CFLAGS="-fsanitize=$enable_sanitizer -fno-omit-frame-pointer -fno-sanitize-recover=all"
    AC_MSG_CHECKING([whether $CC links with -fsanitize=$enable_sanitizer])
    kvsh_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS $SANITIZER_CFLAGS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
      [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       AC_MSG_ERROR([$CC lacks -fsanitize=$enable_sanitizer or its run-time library (of clang-14: apt-get install libclang-rt-14-dev)])])
    CFLAGS=$kvsh_save_CFLAGS
  ])
  AC_SUBST([SANITIZER_CFLAGS])
  AM_CONDITIONAL([SANITIZER], [test "x$enable_sanitizer" != xno])
])

AC_DEFUN([KVSH_COVERAGE], [
  AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [build for coverage (gcov)])],
    [], [enable_coverage=no])
  COVERAGE_CFLAGS=
  AS_IF([test "x$enable_coverage" = xyes], [COVERAGE_CFLAGS="--coverage -O0"])
  AC_SUBST([COVERAGE_CFLAGS])
])

AC_DEFUN([KVSH_FUZZING], [
  AC_ARG_ENABLE([fuzzing], [AS_HELP_STRING([--enable-fuzzing], [build the libFuzzer targets (clang)])],
    [], [enable_fuzzing=no])
  FUZZ_CFLAGS=
  FUZZ_LDFLAGS=
  AS_IF([test "x$enable_fuzzing" = xyes], [
    FUZZ_CFLAGS="-fsanitize=fuzzer-no-link"
    FUZZ_LDFLAGS="-fsanitize=fuzzer"
    AC_MSG_CHECKING([whether $CC links with libFuzzer])
    kvsh_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -fsanitize=fuzzer"
    AC_LINK_IFELSE([AC_LANG_SOURCE([[
      #include <stddef.h>
      int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
      int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) { return data == NULL && size > 0; }]])],
      [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       AC_MSG_ERROR([--enable-fuzzing needs clang with its run-time library: apt-get install clang-14 libclang-rt-14-dev, and run configure with CC=clang-14])])
    CFLAGS=$kvsh_save_CFLAGS
  ])
  AC_SUBST([FUZZ_CFLAGS])
  AC_SUBST([FUZZ_LDFLAGS])
  AM_CONDITIONAL([FUZZING], [test "x$enable_fuzzing" = xyes])
])

# On by default; each flag is probed by linking; off for sanitizer, coverage and fuzzing builds.
AC_DEFUN([KVSH_HARDENING], [
  AC_ARG_ENABLE([hardening], [AS_HELP_STRING([--disable-hardening], [build without hardening flags])],
    [], [enable_hardening=yes])
  AS_IF([test "x$enable_sanitizer" != xno || test "x$enable_coverage" = xyes || test "x$enable_fuzzing" = xyes],
    [enable_hardening=no])
  HARDENING_CFLAGS=
  HARDENING_LDFLAGS=
  AS_IF([test "x$enable_hardening" = xyes], [
    KVSH_TRY_FLAGS([HARDENING_CFLAGS], [-fstack-protector-strong -fstack-clash-protection -fcf-protection dnl
      -fPIE -ftrivial-auto-var-init=zero])
    AS_CASE(["$CFLAGS"], [*-O0*], [], [HARDENING_CFLAGS="$HARDENING_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
    KVSH_TRY_FLAGS([HARDENING_LDFLAGS], [-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack])
  ])
  AC_SUBST([HARDENING_CFLAGS])
  AC_SUBST([HARDENING_LDFLAGS])
])
