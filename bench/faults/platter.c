/* A disk that forgets: what was written and not synced is gone after a power cut.
 *
 * Preloaded into the hub (LD_PRELOAD). Files under TL_DISK are written as usual, which is what the process sees; an
 * fsync or fdatasync copies what was written since to the same name under TL_PLATTER, which is what a power cut leaves.
 * A new name is on the platter with its file's first fsync, as on ext4 and XFS; a rename or unlink with the fsync of its
 * folder. No page is torn and nothing is reordered: this shows what is lost, not what is garbled.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST 4096
static struct { dev_t dev; ino_t ino; off_t low, high; } dirty[MOST];
static struct { char from[PATH_MAX], to[PATH_MAX]; } moves[MOST]; /* `to` empty: unlinked */
static int n_dirty, n_moves;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The path below TL_DISK ("" for the folder itself), or NULL. */
static const char *below(const char *path) {
    const char *disk = getenv("TL_DISK");
    size_t n = disk ? strlen(disk) : 0;
    return n && !strncmp(path, disk, n) && (path[n] == '/' || !path[n]) ? path + n : NULL;
}

static int name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return below(path) != NULL;
}

static void platter(const char *rest, char *path) {
    snprintf(path, PATH_MAX, "%s%s", getenv("TL_PLATTER"), rest);
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(path, 0700);
        *at = '/';
    }
}

static void note(int fd, off_t low, off_t high) {
    char path[PATH_MAX];
    struct stat st;
    if (!getenv("TL_DISK") || !name_of(fd, path) || fstat(fd, &st) || !S_ISREG(st.st_mode)) return;
    pthread_mutex_lock(&turn);
    int i = 0;
    while (i < n_dirty && (dirty[i].ino != st.st_ino || dirty[i].dev != st.st_dev)) i++;
    if (i == n_dirty) {
        if (n_dirty == MOST) abort();
        dirty[n_dirty++] = (__typeof__(dirty[0])){st.st_dev, st.st_ino, low, high};
    }
    if (low < dirty[i].low) dirty[i].low = low;
    if (high > dirty[i].high) dirty[i].high = high;
    pthread_mutex_unlock(&turn);
}

static void settle_file(const char *path, const struct stat *st) {
    static char buffer[1 << 16];
    char to[PATH_MAX];
    platter(below(path), to);
    int fresh = access(to, F_OK) != 0, i = 0;
    while (i < n_dirty && (dirty[i].ino != st->st_ino || dirty[i].dev != st->st_dev)) i++;
    off_t low = fresh ? 0 : i < n_dirty ? dirty[i].low : 0, high = fresh ? st->st_size : i < n_dirty ? dirty[i].high : 0;
    int in = open(path, O_RDONLY), out = open(to, O_RDWR | O_CREAT, 0600);
    while (low < high) {
        ssize_t n = pread(in, buffer, high - low < (off_t)sizeof buffer ? (size_t)(high - low) : sizeof buffer, low);
        if (n <= 0) break;
        if (REAL(pwrite64)(out, buffer, n, low) != n) abort();
        low += n;
    }
    if (REAL(ftruncate64)(out, st->st_size)) abort();
    close(in);
    close(out);
    if (i < n_dirty) dirty[i] = dirty[--n_dirty];
}

static void settle_folder(const char *path) {
    size_t n = strlen(path);
    int left = 0;
    for (int i = 0; i < n_moves; i++) {
        const char *name = moves[i].to[0] ? moves[i].to : moves[i].from;
        char from[PATH_MAX], to[PATH_MAX];
        if (strncmp(name, path, n) || name[n] != '/' || strchr(name + n + 1, '/')) {
            moves[left++] = moves[i];
            continue;
        }
        platter(below(moves[i].from), from);
        if (!moves[i].to[0]) { REAL(unlink)(from); continue; }
        platter(below(moves[i].to), to);
        REAL(rename)(from, to);
    }
    n_moves = left;
}

static int settle(int fd) {
    char path[PATH_MAX];
    struct stat st;
    if (!getenv("TL_DISK") || !name_of(fd, path) || fstat(fd, &st)) return 0;
    pthread_mutex_lock(&turn);
    if (S_ISDIR(st.st_mode)) settle_folder(path); else settle_file(path, &st);
    pthread_mutex_unlock(&turn);
    return 1;
}

int fsync(int fd) { return settle(fd) ? 0 : REAL(fsync)(fd); }
int fdatasync(int fd) { return settle(fd) ? 0 : REAL(fdatasync)(fd); }

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t n = REAL(write)(fd, data, size);
    off_t end = n > 0 ? lseek(fd, 0, SEEK_CUR) : -1;
    if (end >= 0) note(fd, end - n, end);
    return n;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    ssize_t n = REAL(pwrite)(fd, data, size, at);
    if (n > 0) note(fd, at, at + n);
    return n;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ssize_t n = REAL(pwrite64)(fd, data, size, at);
    if (n > 0) note(fd, at, at + n);
    return n;
}

static void moved(const char *from, const char *to) {
    if (!below(from)) return;
    pthread_mutex_lock(&turn);
    if (n_moves == MOST) abort();
    snprintf(moves[n_moves].from, PATH_MAX, "%s", from);
    snprintf(moves[n_moves++].to, PATH_MAX, "%s", to);
    pthread_mutex_unlock(&turn);
}

int rename(const char *from, const char *to) {
    int failed = REAL(rename)(from, to);
    if (!failed) moved(from, to);
    return failed;
}

int unlink(const char *path) {
    int failed = REAL(unlink)(path);
    if (!failed) moved(path, "");
    return failed;
}
