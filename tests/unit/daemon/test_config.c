#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/cli.h"
#include "daemon/config.h"

/* --- the Nth allocation fails --- */

static unsigned allocations, failing;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails(void)
{
	return ++allocations == failing;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

const char *cli_default_data(void)
{
	return "./default-data";
}

/* --- reading --- */

enum { ARGUMENTS_MAX = 64 };

static int read_arguments(struct config *config, const char *const *arguments, char *message)
{
	char *argv[ARGUMENTS_MAX];
	int argc = 0;
	for (; arguments[argc] != NULL; argc++)
		argv[argc] = (char *)arguments[argc];
	config_init(config);
	return config_read(config, argc, argv, message);
}
#define READ(config, message, ...) read_arguments(config, (const char *const[]){__VA_ARGS__, NULL}, message)

static void test_defaults(void **state)
{
	struct config config;
	char message[CONFIG_MESSAGE_SIZE] = "";
	(void)state;
	config_init(&config);
	assert_int_equal(config_read(&config, 0, NULL, message), 0);
	assert_string_equal(config.data, "./default-data");
	assert_string_equal(config.store, "spool");
	assert_non_null(strchr(config.hostname, '.'));
	assert_int_equal(config.listen_count + config.domain_count, 0);
	assert_int_equal(config.api.family + config.resolver.family, 0);
	config_deinit(&config);
}

static void test_all_options(void **state)
{
	struct config config;
	char message[CONFIG_MESSAGE_SIZE] = "", text[NET_ADDRESS_TEXT_SIZE];
	(void)state;
	assert_int_equal(READ(&config, message, "--data", "/d", "--listen=127.0.0.1:2525", "--listen",
			      "[::1]:0", "--api", "127.0.0.1:8080", "--hostname", "relay.example.net",
			      "--domain", "example.com=a.example.com:26, [2001:db8::1]:25,192.0.2.1",
			      "--domain", "example.org", "--store", "ram", "--resolver", "192.0.2.53",
			      "--normalise", "192.0.2.0/24,2001:db8::/32"),
			 0);
	assert_string_equal(config.data, "/d");
	assert_int_equal(config.listen_count, 2);
	assert_string_equal(net_address_text(&config.listen[0], text), "127.0.0.1:2525");
	assert_string_equal(net_address_text(&config.listen[1], text), "[::1]:0");
	assert_string_equal(net_address_text(&config.resolver, text), "192.0.2.53:53");
	assert_int_equal(config.domain_count, 2);
	assert_string_equal(config.domains->name, "example.com");
	assert_string_equal(config.domains->hosts, "a.example.com:26, [2001:db8::1]:25,192.0.2.1");
	assert_string_equal(config.domains->next->name, "example.org");
	assert_null(config.domains->next->hosts);
	config_deinit(&config);
}

static void test_listen_limit(void **state)
{
	const char *arguments[2 * (CONFIG_LISTEN_MAX + 1) + 1] = {0};
	char message[CONFIG_MESSAGE_SIZE] = "";
	struct config config;
	(void)state;
	for (int count = CONFIG_LISTEN_MAX - 1; count <= CONFIG_LISTEN_MAX + 1; count++) {
		for (int i = 0; i < count; i++) {
			arguments[2 * i] = "--listen";
			arguments[2 * i + 1] = "127.0.0.1:2525";
		}
		int error = read_arguments(&config, arguments, message);
		assert_int_equal(error, count <= CONFIG_LISTEN_MAX ? 0 : ERR_SYNTAX);
		config_deinit(&config);
	}
	assert_non_null(strstr(message, "too many"));
}

static void write_domains(const char *path, int count)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < count; i++)
		(void)fprintf(file, "domain = d%d.example\n", i);
	assert_int_equal(fclose(file), 0);
}

static void test_domain_limit(void **state)
{
	char path[] = "/tmp/restante-test-XXXXXX", message[CONFIG_MESSAGE_SIZE] = "";
	struct config config;
	(void)state;
	int descriptor = mkstemp(path);
	assert_true(descriptor >= 0);
	(void)close(descriptor);
	for (int count = CONFIG_DOMAIN_MAX - 1; count <= CONFIG_DOMAIN_MAX + 1; count++) {
		write_domains(path, count);
		assert_int_equal(READ(&config, message, "--config", path),
				 count <= CONFIG_DOMAIN_MAX ? 0 : ERR_SYNTAX);
		config_deinit(&config);
	}
	assert_non_null(strstr(message, "line 10001"));
	(void)unlink(path);
}

static void test_file_and_options(void **state)
{
	char path[] = "/tmp/restante-test-XXXXXX", message[CONFIG_MESSAGE_SIZE] = "",
	     text[NET_ADDRESS_TEXT_SIZE];
	static const char content[] =
	    "# ours\nhostname = one.example.net\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2\n"
	    "domain = example.com\ndata = /file\n";
	struct config config;
	(void)state;
	int descriptor = mkstemp(path);
	assert_int_equal(write(descriptor, content, sizeof(content) - 1), sizeof(content) - 1);
	(void)close(descriptor);
	assert_int_equal(READ(&config, message, "--listen", "127.0.0.1:3", "--config", path, "--hostname",
			      "two.example.net", "--domain", "example.org"),
			 0);
	assert_int_equal(config.listen_count, 1);
	assert_string_equal(net_address_text(&config.listen[0], text), "127.0.0.1:3");
	assert_string_equal(config.hostname, "two.example.net");
	assert_string_equal(config.data, "/file");
	assert_int_equal(config.domain_count, 2);
	config_deinit(&config);
	(void)unlink(path);
}

static void test_every_allocation_failing(void **state)
{
	char message[CONFIG_MESSAGE_SIZE] = "";
	struct config config;
	int error = ERR_MEMORY;
	(void)state;
	for (failing = 1; error != 0; failing++) {
		assert_true(failing < 100);
		allocations = 0;
		error = READ(&config, message, "--data", "/d", "--hostname", "relay.example.net", "--domain",
			     "example.com=mail.example.com", "--store", "spool");
		config_deinit(&config);
	}
	failing = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),	     cmocka_unit_test(test_all_options),
	    cmocka_unit_test(test_listen_limit),     cmocka_unit_test(test_domain_limit),
	    cmocka_unit_test(test_file_and_options), cmocka_unit_test(test_every_allocation_failing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
