/* As in CLinux, so that both see the C library's types alike. */
#define _GNU_SOURCE 1
#include <yaml.h>
