/* Every file operation that the spool makes, as a table of functions, so that the simulated disk can stand in
 * for the real one: drop what was not synced, tear writes, run out of space, fail the Nth call.
 *
 * All names are those of files in one folder, the spool's; there are no paths. Each function returns 0 or a
 * positive number as described, or -errno. The index is not among them: LMDB does its own input and output.
 */
#ifndef STORE_FILE_OPS_H
#define STORE_FILE_OPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"

/* of open */
enum {
	FILE_READ = 0,
	FILE_WRITE = 1 << 0,  /* and read */
	FILE_CREATE = 1 << 1, /* when it is not there; with FILE_WRITE */
};

enum { FILE_NAME_SIZE = 64 }; /* with its NUL */

struct file_ops {
	int (*open)(void *context, const char *name, int flags); /* a descriptor >= 0 */
	void (*close)(void *context, int file);
	/* May write less than asked for, as the system call may: the number of bytes. */
	ssize_t (*pwritev)(void *context, int file, const struct iovec *pieces, int count, uint64_t offset);
	ssize_t (*pread)(void *context, int file, void *to, size_t size, uint64_t offset);
	/* The same, as far as it costs no waiting for the disk; -EAGAIN (or any error): use pread, elsewhere.
	 */
	ssize_t (*pread_cached)(void *context, int file, void *to, size_t size, uint64_t offset);
	void (*advise)(void *context, int file, uint64_t offset, uint64_t size); /* this will be read soon */
	int (*fdatasync)(void *context, int file);
	int (*truncate)(void *context, int file, uint64_t size);
	int (*allocate)(void *context, int file, uint64_t size); /* makes sure of the space from 0 to size */
	int (*size)(void *context, int file, uint64_t *ret_size);
	int (*lock)(void *context, int file); /* -EWOULDBLOCK: somebody else has it. Until close */

	int (*sync_folder)(void *context); /* names that were made, changed or removed before are durable */
	int (*rename)(void *context, const char *from, const char *to);
	int (*unlink)(void *context, const char *name);
	/* Calls each(owner, name) for every file and folder but "." and "..", in any order. */
	int (*list)(void *context, void (*each)(void *owner, const char *name), void *owner);
	int (*free_bytes)(void *context,
			  uint64_t *ret_bytes); /* of the file system, for an unprivileged user */
};

struct file_system {
	const struct file_ops *ops;
	void *context;
};

/* The folder at path, made (mode 0700) when it is not there. -errno. */
nodiscard int file_system_open(const char *path, struct file_system *ret_files);
void file_system_close(struct file_system *files); /* one of file_system_open only */

/* All of it: goes on after a short write. 0 or -errno; pieces are used up. */
int file_write_all(const struct file_system *files, int file, struct iovec *pieces, int count,
		   uint64_t offset);

#endif
