/* As in CLinux, so that both see the C library's types alike. */
#define _GNU_SOURCE 1
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
