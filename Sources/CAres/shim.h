/* glibc's guards of timeval and timespec: Swift takes what this module would define of them for its own, and files that
   never heard of it could not use theirs. */
#define __timeval_defined 1
#define _STRUCT_TIMESPEC 1
struct timeval;
struct timespec;
#include <ares.h>
