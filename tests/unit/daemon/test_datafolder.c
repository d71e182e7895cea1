#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/datafolder.h"

struct fixture {
	char top[32], path[64], message[DATAFOLDER_MESSAGE_SIZE];
};

static int setup(void **state)
{
	static struct fixture f;
	(void)snprintf(f.top, sizeof(f.top), "/tmp/restante-test-XXXXXX");
	if (mkdtemp(f.top) == NULL)
		return -1;
	(void)snprintf(f.path, sizeof(f.path), "%s/a/b", f.top);
	f.message[0] = '\0';
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const paths[] = {"a/b/spool", "a/b/lock", "a/b/RESTANTE", "a/b/x", "a/b", "a", ""};
	const struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/%s", f->top, paths[i]);
		(void)remove(path);
	}
	return 0;
}

static int open_once(struct fixture *f)
{
	struct datafolder folder;
	int error = datafolder_open(&folder, f->path, f->message);
	datafolder_close(&folder);
	return error;
}

static void put(const struct fixture *f, const char *name, const char *text)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", f->path, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void test_made_and_found_again(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(open_once(f), 0);
	assert_int_equal(open_once(f), 0);
}

static void test_locked(void **state)
{
	struct fixture *f = *state;
	struct datafolder folder;
	assert_int_equal(datafolder_open(&folder, f->path, f->message), 0);
	assert_int_equal(open_once(f), ERR_BUSY);
	assert_non_null(strstr(f->message, "another restante"));
	datafolder_close(&folder);
	assert_int_equal(open_once(f), 0);
}

static void test_markers(void **state)
{
	static const struct {
		const char *text;
		int error;
	} table[] = {
	    {"restante data folder, format 1\n", 0},
	    {"restante data folder, format 2\n", ERR_VERSION},
	    {"restante data folder, format \n", ERR_FOREIGN},
	    {"restante data folder, format x\n", ERR_FOREIGN},
	    {"restante data folder, format 99999999999999999999\n", ERR_FOREIGN},
	    {"restante", ERR_FOREIGN},
	    {"", ERR_FOREIGN},
	};
	struct fixture *f = *state;
	assert_int_equal(open_once(f), 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		put(f, "RESTANTE", table[i].text);
		f->message[0] = '\0';
		assert_int_equal(open_once(f), table[i].error);
		assert_true(table[i].error == 0 || f->message[0] != '\0');
	}
}

static void test_foreign(void **state)
{
	struct fixture *f = *state;
	char lock[128];
	assert_int_equal(open_once(f), 0);
	(void)snprintf(lock, sizeof(lock), "%s/RESTANTE", f->path);
	assert_int_equal(unlink(lock), 0);
	put(f, "x", "somebody's");
	assert_int_equal(open_once(f), ERR_FOREIGN);
}

/* The power went while the marker was being made. */
static void test_half_made(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_once(f), 0);
	char marker[128];
	(void)snprintf(marker, sizeof(marker), "%s/RESTANTE", f->path);
	assert_int_equal(unlink(marker), 0);
	(void)snprintf(marker, sizeof(marker), "%s/lock", f->path);
	assert_int_equal(unlink(marker), 0);
	put(f, "RESTANTE.new", "restante da");
	assert_int_equal(open_once(f), 0);
	assert_int_equal(open_once(f), 0);
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	struct datafolder folder;
	struct buffer content;
	struct stat status;
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/x", f->path);
	buffer_init(&content, 0);
	assert_int_equal(datafolder_open(&folder, f->path, f->message), 0);
	assert_int_equal(datafolder_read(&folder, "x", &content), ERR_MISSING);
	assert_int_equal(datafolder_write(&folder, "x", SLICE("one"), 0644), 0);
	assert_int_equal(datafolder_write(&folder, "x", SLICE("two"), 0600), 0);
	assert_int_equal(datafolder_read(&folder, "x", &content), 0);
	assert_true(slice_equal(buffer_slice(&content), SLICE("two")));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(datafolder_open_spool(&folder, geteuid(), getegid(), f->message), 0);
	buffer_deinit(&content);
	datafolder_close(&folder);
}

static void test_file_limit(void **state)
{
	struct fixture *f = *state;
	struct datafolder folder;
	char *bytes = calloc(1, DATAFOLDER_FILE_MAX + 1);
	assert_non_null(bytes);
	assert_int_equal(datafolder_open(&folder, f->path, f->message), 0);
	for (size_t size = DATAFOLDER_FILE_MAX - 1; size <= DATAFOLDER_FILE_MAX + 1; size++) {
		struct buffer content;
		buffer_init(&content, 0);
		assert_int_equal(datafolder_write(&folder, "x", slice_make(bytes, size), 0600), 0);
		assert_int_equal(datafolder_read(&folder, "x", &content),
				 size <= DATAFOLDER_FILE_MAX ? 0 : ERR_LIMIT);
		buffer_deinit(&content);
	}
	datafolder_close(&folder);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_made_and_found_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_markers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_half_made, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_files, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_file_limit, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
