/* The system calls themselves, past whatever stands in for them. As their manual says, but the kernel's. */
#ifndef POWERCUT_REAL_H
#define POWERCUT_REAL_H

#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static inline int real_openat(int at, const char *path, int flags, mode_t mode)
{
	return (int)syscall(SYS_openat, at, path, flags, mode);
}

static inline int real_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

static inline ssize_t real_pwrite(int fd, const void *from, size_t size, off_t offset)
{
	return syscall(SYS_pwrite64, fd, from, size, offset);
}

static inline ssize_t real_pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
	return syscall(SYS_pwritev, fd, pieces, (long)count, offset, 0L);
}

static inline ssize_t real_write(int fd, const void *from, size_t size)
{
	return syscall(SYS_write, fd, from, size);
}

static inline ssize_t real_writev(int fd, const struct iovec *pieces, int count)
{
	return syscall(SYS_writev, fd, pieces, (long)count);
}

static inline int real_ftruncate(int fd, off_t size)
{
	return (int)syscall(SYS_ftruncate, fd, size);
}

static inline int real_fallocate(int fd, int mode, off_t offset, off_t size)
{
	return (int)syscall(SYS_fallocate, fd, (long)mode, offset, size);
}

static inline int real_mkdirat(int at, const char *path, mode_t mode)
{
	return (int)syscall(SYS_mkdirat, at, path, mode);
}

static inline int real_unlinkat(int at, const char *path, int flags)
{
	return (int)syscall(SYS_unlinkat, at, path, flags);
}

static inline int real_renameat(int from, const char *path, int to, const char *new_path)
{
	return (int)syscall(SYS_renameat2, from, path, to, new_path, 0);
}

static inline int real_fsync(int fd)
{
	return (int)syscall(SYS_fsync, fd);
}

static inline int real_fdatasync(int fd)
{
	return (int)syscall(SYS_fdatasync, fd);
}

#endif
