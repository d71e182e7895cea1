#include "files_world.h"

#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "contract_help.h"

enum { WAKE_PATIENCE_MS = 20000 };

static void wake(void *owner)
{
	struct files_world *w = owner;
	uint64_t one = 1;

	assert_int_equal(write(w->wakes, &one, sizeof(one)), sizeof(one));
}

void *files_make(void)
{
	struct files_world *w = calloc(1, sizeof(*w));

	(void)snprintf(w->path, sizeof(w->path), "/tmp/restante-spool-XXXXXX");
	assert_non_null(mkdtemp(w->path));
	w->wakes = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->config = (struct spool_config){
	    .path = w->path,
	    .threads = true,
	    .seed = 11,
	    .wake = wake,
	    .wake_owner = w,
	    .reserve_bytes = 64 * 1024,
	    .segment_bytes = 256 * 1024,
	    .checkpoint_bytes = 64 * 1024,
	    .slack_bytes = 256 * 1024,
	};
	return w;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void files_destroy(void *world)
{
	struct files_world *w = world;

	remove_tree(w->path);
	(void)close(w->wakes);
	free(w);
}

struct store *files_open(void *world)
{
	struct files_world *w = world;
	struct store *store = NULL;

	return spool_open(&w->config, &store, w->message) == 0 ? store : NULL;
}

struct store *files_reopen(void *world, struct store *store)
{
	store->ops->close(store);
	return files_open(world);
}

struct store *files_kill(void *world, struct store *store)
{
	spool_crash(store);
	return files_open(world);
}

void files_wait(void *world)
{
	struct files_world *w = world;
	struct pollfd waiting = {.fd = w->wakes, .events = POLLIN};
	uint64_t count;

	assert_int_equal(poll(&waiting, 1, WAKE_PATIENCE_MS), 1);
	assert_int_equal(read(w->wakes, &count, sizeof(count)), sizeof(count));
}
