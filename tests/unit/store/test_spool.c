/* The spool: the contract, on the simulated disk and on real files with threads; and whose folder it takes.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "contract_help.h"
#include "files_world.h"
#include "spool_world.h"

/* --- a roomy simulated disk, and one where everything is compacted all the time ------------------ */

static void *roomy_make(void)
{
	struct spool_world *w = spool_world_make();

	w->config.segment_bytes = 0;
	w->config.checkpoint_bytes = 0;
	return w;
}

static void *compacting_make(void)
{
	struct spool_world *w = spool_world_make();

	w->config.slack_bytes = 1;
	w->config.checkpoint_bytes = 4 * 1024;
	return w;
}

/* --- folders ------------------------------------------------------------------------------------- */

static void put_file(const char *folder, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs(text, file);
	(void)fclose(file);
}

static void check_open(struct files_world *w, int expected, const char *words)
{
	struct store *store = NULL;
	int error = spool_open(&w->config, &store, w->message);

	if (error == 0)
		store->ops->close(store);
	assert_int_equal(error, expected);
	assert_non_null(strstr(w->message, words));
	if (expected != 0)
		assert_non_null(strstr(w->message, w->config.path));
}

static void a_foreign_folder_is_left_alone(void **state)
{
	struct files_world *w = files_make();
	struct stat status;
	char path[128];

	(void)state;
	put_file(w->path, "thesis.txt", "years of work");
	check_open(w, ERR_FOREIGN, "thesis.txt");
	(void)snprintf(path, sizeof(path), "%s/lock", w->path);
	assert_int_equal(stat(path, &status), -1);
	files_destroy(w);
}

static void versions_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		int expected;
		const char *words;
	} cases[] = {
	    {"restante spool 1\n", 0, ""},
	    {"restante spool 2\n", ERR_VERSION, "newer version"},
	    {"restante spool 999999999999\n", ERR_VERSION, "newer version"},
	    {"restante spool 0\n", ERR_FOREIGN, "VERSION"},
	    {"restante spool\n", ERR_FOREIGN, "VERSION"},
	    {"", ERR_FOREIGN, "VERSION"},
	    {"14\n", ERR_FOREIGN, "VERSION"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct files_world *w = files_make();
		put_file(w->path, "VERSION", cases[i].text);
		check_open(w, cases[i].expected, cases[i].words);
		files_destroy(w);
	}
}

static void two_cannot_use_one_spool(void **state)
{
	struct files_world *w = files_make();
	struct store *store = files_open(w);

	(void)state;
	assert_non_null(store);
	check_open(w, ERR_BUSY, "in use");
	store->ops->close(store);
	check_open(w, 0, "");
	files_destroy(w);
}

static void a_folder_that_cannot_be_made(void **state)
{
	struct files_world *w = files_make();

	(void)state;
	w->config.path = "/proc/no-such-folder/spool";
	check_open(w, ERR_IO, "choose another");
	w->config.path = w->path;
	files_destroy(w);
}

static void a_file_is_no_folder(void **state)
{
	struct files_world *w = files_make();
	char path[128];

	(void)state;
	put_file(w->path, "file", "x");
	(void)snprintf(path, sizeof(path), "%s/file", w->path);
	w->config.path = path;
	check_open(w, ERR_IO, "Not a directory");
	files_destroy(w);
}

int main(void)
{
	static const struct contract_backend backends[] = {
	    {.name = "spool, simulated disk",
	     .make = roomy_make,
	     .destroy = spool_world_destroy,
	     .open = spool_world_open,
	     .reopen = spool_world_reopen},
	    {.name = "spool, small segments",
	     .make = spool_world_make,
	     .destroy = spool_world_destroy,
	     .open = spool_world_open,
	     .reopen = spool_world_reopen},
	    {.name = "spool, power cut at each restart",
	     .make = spool_world_make,
	     .destroy = spool_world_destroy,
	     .open = spool_world_open,
	     .reopen = spool_world_crash},
	    {.name = "spool, compacting",
	     .make = compacting_make,
	     .destroy = spool_world_destroy,
	     .open = spool_world_open,
	     .reopen = spool_world_crash},
	    {.name = "spool, files and threads",
	     .make = files_make,
	     .destroy = files_destroy,
	     .open = files_open,
	     .reopen = files_reopen,
	     .wait = files_wait},
	    {.name = "spool, files and threads, killed",
	     .make = files_make,
	     .destroy = files_destroy,
	     .open = files_open,
	     .reopen = files_kill,
	     .wait = files_wait},
	};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_foreign_folder_is_left_alone),
	    cmocka_unit_test(versions_are_told_apart),
	    cmocka_unit_test(two_cannot_use_one_spool),
	    cmocka_unit_test(a_folder_that_cannot_be_made),
	    cmocka_unit_test(a_file_is_no_folder),
	};
	int bad = 0;

	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		bad += store_contract(&backends[i]);
	bad += cmocka_run_group_tests_name("spool folders", tests, NULL, NULL);
	return bad != 0;
}
