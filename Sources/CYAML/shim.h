/* yaml.h includes <stdlib.h> and with it fd_set, whose members are spelt differently with and
   without _GNU_SOURCE; modules that disagree about it cannot be imported together. Nothing here
   needs it, so it is left out. */
#define _SYS_SELECT_H 1
#include <yaml.h>
