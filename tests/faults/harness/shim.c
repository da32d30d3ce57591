/* Loaded before the C library (LD_PRELOAD): what time it is, and whether a folder can be written, as a shared page says.

   EVALKIT_SHIM_PAGE names the page: two numbers of 64 bits, the clock's offset in nanoseconds and an errno (0: all is
   well) that every write below EVALKIT_SHIM_FOLDER fails with. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *page;
static const char *folder = "";

__attribute__((constructor)) static void begin(void) {
  static int (*real)(const char *, int, ...);
  const char *name = getenv("EVALKIT_SHIM_PAGE");
  if (!name) return;
  if (getenv("EVALKIT_SHIM_FOLDER")) folder = getenv("EVALKIT_SHIM_FOLDER");
  real = dlsym(RTLD_NEXT, "open");
  int fd = real(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
  if (at != MAP_FAILED) page = at;
  close(fd);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int refused(void) { return page ? (int)page[1] : 0; }
static int ours(const char *path) { return *folder && path && !strncmp(path, folder, strlen(folder)); }
static int fails(const char *path) {
  int why = refused();
  if (!why || !ours(path)) return 0;
  errno = why;
  return 1;
}
static int fails_fd(int fd) {
  if (!refused()) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return fails(path);
}
static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

int clock_gettime(clockid_t clock, struct timespec *at) {
  REAL(clock_gettime);
  int code = real(clock, at);
  if (!code && page && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    int64_t all = at->tv_sec * 1000000000LL + at->tv_nsec + page[0];
    at->tv_sec = all / 1000000000LL;
    at->tv_nsec = all % 1000000000LL;
  }
  return code;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = va_arg(more, mode_t); \
    va_end(more); \
    return writes(flags) && fails(path) ? -1 : real(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *data, size_t size) { REAL(write); return fails_fd(fd) ? -1 : real(fd, data, size); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  REAL(pwrite64);
  return fails_fd(fd) ? -1 : real(fd, data, size, at);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  REAL(pwrite);
  return fails_fd(fd) ? -1 : real(fd, data, size, at);
}
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); return fails_fd(fd) ? -1 : real(fd, size); }
int ftruncate(int fd, off_t size) { REAL(ftruncate); return fails_fd(fd) ? -1 : real(fd, size); }
int futimens(int fd, const struct timespec times[2]) { REAL(futimens); return fails_fd(fd) ? -1 : real(fd, times); }
int utimensat(int at, const char *path, const struct timespec times[2], int flags) {
  REAL(utimensat);
  return fails(path) ? -1 : real(at, path, times, flags);
}
int mkdir(const char *path, mode_t mode) { REAL(mkdir); return fails(path) ? -1 : real(path, mode); }
int unlink(const char *path) { REAL(unlink); return fails(path) ? -1 : real(path); }
int rename(const char *from, const char *to) { REAL(rename); return fails(to) ? -1 : real(from, to); }
int link(const char *from, const char *to) { REAL(link); return fails(to) ? -1 : real(from, to); }
