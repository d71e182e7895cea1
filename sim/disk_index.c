/* The folder of the spool's index in simulations: real files, put back after a crash as they were at the last
 * commit. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "sim/disk.h"

static void file_path(const struct disk_index *index, const char *name, char to[320])
{
	(void)snprintf(to, 320, "%s/%s", index->path, name);
}

int disk_index_init(struct disk_index *index)
{
	const char *folder = getenv("RESTANTE_INDEX_FOLDER");

	if (folder == NULL)
		folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	*index = (struct disk_index){.copy = NULL};
	(void)snprintf(index->path, sizeof(index->path), "%s/restante-index-XXXXXX", folder);
	return mkdtemp(index->path) != NULL ? 0 : -1;
}

static void remove_files(struct disk_index *index)
{
	char path[320];

	file_path(index, "data.mdb", path);
	(void)unlink(path);
	file_path(index, "lock.mdb", path);
	(void)unlink(path);
}

void disk_index_forget(struct disk_index *index)
{
	remove_files(index);
	free(index->copy);
	index->copy = NULL;
	index->saved = false;
}

void disk_index_deinit(struct disk_index *index)
{
	disk_index_forget(index);
	(void)rmdir(index->path);
}

void disk_index_save(void *owner)
{
	struct disk_index *index = owner;
	struct stat status;
	char path[320];

	file_path(index, "data.mdb", path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && fstat(fd, &status) == 0);
	char *bytes = realloc(index->copy, (size_t)status.st_size);
	check(bytes != NULL);
	index->copy = bytes;
	index->copy_size = (size_t)status.st_size;
	for (size_t at = 0; at < index->copy_size;) {
		ssize_t got = pread(fd, bytes + at, index->copy_size - at, (off_t)at);
		check(got > 0);
		at += (size_t)got;
	}
	(void)close(fd);
	index->saved = true;
}

void disk_index_restore(struct disk_index *index)
{
	char path[320];

	if (index->crash != NULL) {
		index->crash(index);
		file_path(index, "lock.mdb", path);
		(void)unlink(path);
		return;
	}
	remove_files(index);
	if (!index->saved)
		return;
	file_path(index, "data.mdb", path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0);
	for (size_t at = 0; at < index->copy_size;) {
		ssize_t put = pwrite(fd, index->copy + at, index->copy_size - at, (off_t)at);
		check(put > 0);
		at += (size_t)put;
	}
	(void)close(fd);
}
