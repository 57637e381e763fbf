/* What disks without the locks of a local one answer to flock(2); preloaded by test_locks.py.
   FLOCK=nfs: a descriptor that is not open for writing is refused. FLOCK=none: there are no locks. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

int flock(int descriptor, int operation) {
  const char *disk = getenv("FLOCK");
  int reads_only = (fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDONLY;
  if (disk && !strcmp(disk, "none")) {
    errno = ENOLCK;
    return -1;
  }
  if (disk && !strcmp(disk, "nfs") && reads_only && !(operation & LOCK_UN)) {
    errno = EBADF;
    return -1;
  }
  return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(descriptor, operation);
}
