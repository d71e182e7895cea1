/* Delivery status notifications. With an argument it prints one for dsn_parse.py, which reads it as others
 * do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/dsn.h"

static const struct dsn_recipient two[] = {
    {.address = {"joe+x@example.com", 17},
     .orcpt = {"rfc822;joe+2Bx@example.net", 26},
     .remote = {"mx.example.com", 14},
     .diagnostic = {"550 5.1.1 no such user", 22},
     .status = "5.1.1",
     .last_attempt_ms = 1700000000000},
    {.address = {"ann@example.com", 15}, .status = "2.0.0", .action = DSN_RELAYED},
};

/* What strangers say must not add fields or parts. */
static const struct dsn_recipient evil[] = {{
    .address = {"\xc3\xa4\xff@example.com", 15},
    .orcpt = {"rfc822;a+0D+0AAction:+20delivered", 33},
    .remote = {"mx\r\nX-Evil: 1", 13},
    .diagnostic = {"550 no\r\n--BOUNDARY--\r\n\xc3\xa4", 24},
    .status = "5.0.0",
}};

static struct dsn a_dsn(int number)
{
	bool utf8 = number >= 2;

	return (struct dsn){
	    .hostname = "relay.example.net",
	    .message_id = "1@relay.example.net",
	    .boundary = "BOUNDARY",
	    .words = "It did not work.\r\n",
	    .to = SLICE("sender@example.org"),
	    .envid = SLICE("QQ+3D1"),
	    .date_ms = 1700000100000,
	    .arrival_ms = 1700000000000,
	    .utf8 = utf8,
	    .full = number % 2 == 1,
	    .recipients = utf8 ? evil : two,
	    .recipient_count = utf8 ? 1 : 2,
	};
}

static int write_one(const struct dsn *dsn, struct buffer *to)
{
	int error = dsn_write_begin(dsn, to);

	if (error == 0)
		error = buffer_add(to, SLICE("Subject: hello\r\nX-Was: here\r\n"));
	if (error == 0 && dsn->full)
		error = buffer_add(to, SLICE("\r\nbody\r\n"));
	return error == 0 ? dsn_write_end(dsn, to) : error;
}

static int print(int number)
{
	struct dsn dsn = a_dsn(number);
	struct buffer b;

	buffer_init(&b, 0);
	int error = write_one(&dsn, &b);
	if (error == 0)
		(void)fwrite(buffer_slice(&b).data, 1, buffer_size(&b), stdout);
	buffer_deinit(&b);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int times(struct slice text, const char *what)
{
	size_t size = strlen(what);
	int count = 0;

	for (size_t i = 0; i + size <= text.size; i++)
		count += memcmp(text.data + i, what, size) == 0;
	return count;
}

static void it_has_only_ascii_unless_it_may(void **state)
{
	struct buffer b;

	(void)state;
	for (int number = 0; number < 4; number++) {
		struct dsn dsn = a_dsn(number);
		dsn.utf8 = false;
		buffer_init(&b, 0);
		assert_int_equal(write_one(&dsn, &b), 0);
		struct slice text = buffer_slice(&b);
		for (size_t i = 0; i < text.size; i++) {
			assert_true((uint8_t)text.data[i] < 0x80);
			assert_true(text.data[i] != '\n' || (i > 0 && text.data[i - 1] == '\r'));
			assert_true(text.data[i] != '\r' || (i + 1 < text.size && text.data[i + 1] == '\n'));
		}
		buffer_deinit(&b);
	}
}

static void strangers_add_nothing(void **state)
{
	struct dsn dsn = a_dsn(3);
	struct buffer b;

	(void)state;
	buffer_init(&b, 0);
	assert_int_equal(write_one(&dsn, &b), 0);
	struct slice text = buffer_slice(&b);
	assert_int_equal(times(text, "\r\n--BOUNDARY--\r\n"), 1);
	assert_int_equal(times(text, "\r\n--BOUNDARY\r\n"), 3);
	assert_int_equal(times(text, "\r\nX-Evil"), 0);
	assert_int_equal(times(text, "\r\nAction:"), 1);
	assert_int_equal(times(text, "Final-Recipient: utf-8;\xc3\xa4?@example.com\r\n"), 1);
	buffer_deinit(&b);
}

/* Cut anywhere by want of memory, nothing of the beginning stays. */
static void all_or_nothing(void **state)
{
	struct dsn dsn = a_dsn(0);
	int error = ERR_LIMIT;

	(void)state;
	for (size_t limit = 10; error != 0; limit += 7) {
		struct buffer b;
		buffer_init(&b, limit);
		error = dsn_write_begin(&dsn, &b);
		assert_true(error == 0 || (error == ERR_LIMIT && buffer_size(&b) == 0));
		buffer_deinit(&b);
		assert_true(limit < 10000);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_has_only_ascii_unless_it_may),
	    cmocka_unit_test(strangers_add_nothing),
	    cmocka_unit_test(all_or_nothing),
	};

	if (argc == 2)
		return print(argv[1][0] - '0');
	return cmocka_run_group_tests_name("delivery status notifications", tests, NULL, NULL);
}
