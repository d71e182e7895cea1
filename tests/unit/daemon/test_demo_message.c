#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/demo_message.h"

struct fixture {
	struct buffer text;
};

static int setup(void **state)
{
	static struct fixture f;
	buffer_init(&f.text, 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	buffer_deinit(&((struct fixture *)*state)->text);
	return 0;
}

static bool check_text(struct slice text, uint32_t number, bool same)
{
	uint32_t got = 0;
	bool got_same = !same;
	return demo_message_check(text, &got, &got_same) && got == number && got_same == same;
}

static void test_round_trip(void **state)
{
	struct fixture *f = *state;
	for (uint32_t number = 0; number < 50; number++) {
		buffer_reset(&f->text);
		assert_int_equal(demo_message_make(number, &f->text), 0);
		assert_true(check_text(buffer_slice(&f->text), number, true));
	}
}

static void test_received_lines_are_left_out(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(
	    buffer_add(&f->text, SLICE("Received: from a by b\r\n\tid 1;\r\n x\r\nreceived: again\r\n")), 0);
	assert_int_equal(demo_message_make(7, &f->text), 0);
	assert_true(check_text(buffer_slice(&f->text), 7, true));
}

/* A byte changed, lost or added anywhere but in the number is found. */
static void test_any_change_is_found(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(demo_message_make(3, &f->text), 0);
	struct slice text = buffer_slice(&f->text);
	char *bytes = f->text.bytes + f->text.start;
	const char *number = memmem(text.data, text.size, "X-Demo-Number", 13);
	size_t from = (size_t)(number - text.data) - 2, to = from + 20;
	for (size_t i = 0; i < text.size; i++) {
		if (i >= from && i < to)
			continue;
		bytes[i] ^= 1;
		assert_true(check_text(text, 3, false));
		bytes[i] ^= 1;
	}
	assert_true(check_text(slice_upto(text, text.size - 1), 3, false));
	assert_int_equal(buffer_append(&f->text, "\n", 1), 0);
	assert_true(check_text(buffer_slice(&f->text), 3, false));
}

static void test_strangers(void **state)
{
	uint32_t number;
	bool same;
	(void)state;
	assert_false(demo_message_check(SLICE(""), &number, &same));
	assert_false(demo_message_check(SLICE("Subject: x\r\n\r\nx\r\n"), &number, &same));
	assert_false(demo_message_check(SLICE("A: b\r\nX-Demo-Number: x\r\n\r\n"), &number, &same));
	assert_false(demo_message_check(SLICE("A: b\r\nX-Demo-Number: 4294967296\r\n\r\n"), &number, &same));
}

static void test_stuffing(void **state)
{
	static const struct {
		const char *text, *wire;
	} table[] = {
	    {"", ".\r\n"},
	    {"a\r\n", "a\r\n.\r\n"},
	    {".\r\n", "..\r\n.\r\n"},
	    {"a.\r\n..b\r\n\r\n.", "a.\r\n...b\r\n\r\n...\r\n"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		buffer_reset(&f->text);
		assert_int_equal(demo_message_stuff(slice_of(table[i].text), &f->text), 0);
		assert_true(slice_equal(buffer_slice(&f->text), slice_of(table[i].wire)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_received_lines_are_left_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_any_change_is_found, setup, teardown),
	    cmocka_unit_test(test_strangers),
	    cmocka_unit_test_setup_teardown(test_stuffing, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
