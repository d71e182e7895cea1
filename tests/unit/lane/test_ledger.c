#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lane/ledger.h"
#include "lane/tuning.h"

#define DAY  86400000LL
#define WALL 1700000000000LL

struct play {
	struct ledger_domain domain;
	struct ledger_entry entry;
};

static void start(struct play *play)
{
	ledger_domain_init(&play->domain);
	ledger_serve(&play->domain, 1000 * DAY);
	play->entry = ledger_entry(LEDGER_DELIVERY);
}

static void accept(struct play *play, const char *local)
{
	ledger_accepted(&play->entry, &play->domain, slice_of(local), WALL);
}

static enum ledger_standing standing(const struct play *play)
{
	return ledger_standing(&play->entry, &play->domain);
}

static void ages_with_service(void **state)
{
	struct play play;

	start(&play);
	assert_int_equal(standing(&play), LEDGER_UNSEEN);
	accept(&play, "joe");
	assert_int_equal(standing(&play), LEDGER_GOOD);
	ledger_serve(&play.domain, LEDGER_GOOD_MS);
	assert_int_equal(standing(&play), LEDGER_GOOD);
	ledger_serve(&play.domain, 1);
	assert_int_equal(standing(&play), LEDGER_SEEN);
	ledger_serve(&play.domain, LEDGER_SEEN_MS - LEDGER_GOOD_MS - 1);
	assert_int_equal(standing(&play), LEDGER_SEEN);
	assert_false(ledger_is_stale(&play.entry, &play.domain));
	ledger_serve(&play.domain, 1);
	assert_int_equal(standing(&play), LEDGER_UNSEEN);
	assert_true(ledger_is_stale(&play.entry, &play.domain));
	assert_true(LEDGER_SEEN_MS >= 90 * DAY);
	ledger_serve(&play.domain, -5 * DAY); /* a clock that went back: nothing */
	assert_int_equal(standing(&play), LEDGER_UNSEEN);
}

/* A year in which the server is down is no time of service. */
static void an_outage_ages_nobody(void **state)
{
	struct play play;

	start(&play);
	accept(&play, "joe");
	ledger_serve(&play.domain, 0);
	assert_int_equal(standing(&play), LEDGER_GOOD);
}

static void named_ones_stay(void **state)
{
	static const enum ledger_source sources[] = {LEDGER_LIST, LEDGER_CSV};
	struct play play;

	start(&play);
	for (size_t i = 0; i < 2; i++) {
		play.entry = ledger_entry(sources[i]);
		assert_int_equal(standing(&play), LEDGER_LISTED);
		accept(&play, "joe");
		assert_int_equal(standing(&play), LEDGER_GOOD);
		ledger_serve(&play.domain, LEDGER_SEEN_MS + 1);
		assert_int_equal(standing(&play), LEDGER_LISTED);
		assert_false(ledger_is_stale(&play.entry, &play.domain));
	}
	play.entry = ledger_entry(LEDGER_LIST);
	play.entry.pinned = true;
	for (int i = 0; i < 20; i++)
		ledger_was_refused(&play.entry, &play.domain, true, WALL);
	ledger_depart(&play.entry, &play.domain, SLICE("joe"));
	ledger_serve(&play.domain, 500 * DAY);
	assert_int_equal(standing(&play), LEDGER_GOOD);
}

static void refusals(void **state)
{
	struct play play;

	start(&play);
	ledger_was_refused(&play.entry, &play.domain, false, WALL);
	assert_int_equal(standing(&play), LEDGER_REFUSED);
	assert_int_equal(play.entry.counted, 0);
	assert_false(ledger_refused_now(&play.entry, &play.domain)); /* not proven */
	ledger_serve(&play.domain, 7);
	ledger_was_refused(&play.entry, &play.domain, true, WALL);
	ledger_serve(&play.domain, LEDGER_REFUSED_MS - 1);
	ledger_was_refused(&play.entry, &play.domain, true, WALL);
	assert_int_equal(play.entry.counted, 2);
	assert_int_equal(play.entry.refused_count, 3);
	assert_int_equal(play.entry.counted_service_ms, 1000 * DAY + 7);
	ledger_serve(&play.domain, LEDGER_REFUSED_MS - 1);
	assert_true(ledger_refused_now(&play.entry, &play.domain));
	ledger_serve(&play.domain, 1);
	assert_false(ledger_refused_now(&play.entry, &play.domain));
	assert_false(ledger_is_stale(&play.entry, &play.domain));
	ledger_serve(&play.domain, LEDGER_TRACE_MS);
	assert_true(ledger_is_stale(&play.entry, &play.domain));
	accept(&play, "joe"); /* all forgotten */
	assert_int_equal(play.entry.counted, 0);
	assert_int_equal(play.entry.refused_count, 0);
	assert_int_equal(standing(&play), LEDGER_GOOD);
}

/* A known one that is refused stays known; no 5 min of negative memory for it. */
static void a_refused_known_one(void **state)
{
	struct play play;

	start(&play);
	accept(&play, "joe");
	ledger_was_refused(&play.entry, &play.domain, true, WALL);
	assert_int_equal(standing(&play), LEDGER_GOOD);
	assert_false(ledger_refused_now(&play.entry, &play.domain));
	ledger_depart(&play.entry, &play.domain, SLICE("JOE"));
	assert_int_equal(standing(&play), LEDGER_SEEN);
	assert_int_equal(ledger_recent(&play.domain, 0).size, 0);
	accept(&play, "joe");
	assert_int_equal(standing(&play), LEDGER_GOOD);
}

static void assert_recent(const struct play *play, uint32_t place, const char *local)
{
	assert_true(slice_equal(ledger_recent(&play->domain, place), slice_of(local)));
}

static void the_last_ones_are_asked(void **state)
{
	char longest[LEDGER_LOCAL_MAX + 2];
	struct play play;

	memset(longest, 'x', sizeof(longest));
	longest[LEDGER_LOCAL_MAX + 1] = '\0';
	start(&play);
	accept(&play, "a");
	accept(&play, longest); /* too long */
	accept(&play, "");
	accept(&play, "b");
	accept(&play, "A");
	assert_recent(&play, 0, "A");
	assert_recent(&play, 1, "b");
	assert_recent(&play, 2, "");
	longest[LEDGER_LOCAL_MAX] = '\0';
	accept(&play, longest);
	assert_recent(&play, 0, longest);
	for (int i = 0; i < LEDGER_RECENT; i++)
		accept(&play, (char[]){(char)('p' + i), '\0'});
	assert_int_equal(play.domain.recent_count, LEDGER_RECENT);
	assert_recent(&play, 0, (char[]){'p' + LEDGER_RECENT - 1, '\0'});
	assert_recent(&play, LEDGER_RECENT - 1, "p");
	assert_recent(&play, LEDGER_RECENT, "");
	ledger_serve(&play.domain, LEDGER_SEEN_MS + 1);
	assert_recent(&play, 0, "");
}

static void catch_all(void **state)
{
	struct play play;

	start(&play);
	assert_int_equal(ledger_catch_all(&play.domain, true), LEDGER_ASK);
	assert_false(ledger_made_up(&play.domain, true)); /* from the beginning: its custom */
	assert_int_equal(ledger_catch_all(&play.domain, true), LEDGER_TAKES_ALL);
	assert_false(ledger_worth(&play.domain, false));
	assert_true(ledger_worth(&play.domain, true));
	assert_false(ledger_made_up(&play.domain, false));
	assert_int_equal(ledger_catch_all(&play.domain, true), LEDGER_TELLS);
	assert_true(ledger_worth(&play.domain, false));
	assert_true(ledger_made_up(&play.domain, true)); /* back, but not itself */
	assert_false(ledger_made_up(&play.domain, true));
	ledger_serve(&play.domain, LEDGER_ASK_MS);
	assert_int_equal(ledger_catch_all(&play.domain, true), LEDGER_ASK);
	assert_int_equal(ledger_catch_all(&play.domain, false), LEDGER_TAKES_ALL);
	assert_false(ledger_made_up(&play.domain, false));
	assert_int_equal(ledger_catch_all(&play.domain, true), LEDGER_TELLS);
	ledger_domain_changed(&play.domain);
	assert_int_equal(ledger_catch_all(&play.domain, true), LEDGER_ASK);
}

static void written_only_when_it_says_something_new(void **state)
{
	struct play play;
	struct ledger_entry before;

	start(&play);
	assert_true(ledger_must_write(NULL, &play.entry));
	before = play.entry;
	assert_false(ledger_must_write(&before, &play.entry));
	accept(&play, "joe");
	assert_true(ledger_must_write(&before, &play.entry));
	before = play.entry;
	ledger_serve(&play.domain, LEDGER_WRITE_MS - 1);
	accept(&play, "joe");
	assert_false(ledger_must_write(&before, &play.entry));
	ledger_serve(&play.domain, 1);
	accept(&play, "joe");
	assert_true(ledger_must_write(&before, &play.entry));
	before = play.entry;
	ledger_was_refused(&play.entry, &play.domain, false, WALL);
	assert_true(ledger_must_write(&before, &play.entry));
	before = play.entry;
	accept(&play, "joe"); /* the refusals are forgotten: that must be known */
	assert_true(ledger_must_write(&before, &play.entry));
	before = play.entry;
	play.entry.pinned = true;
	assert_true(ledger_must_write(&before, &play.entry));
}

static void keys(void **state)
{
	static const struct {
		struct slice domain, local;
		int error;
		const char *key;
	} table[] = {
	    {SLICE("Example.COM"), SLICE("Joe.Doe+Tag"), 0, "ledger/example.com/joe.doe+tag"},
	    {SLICE("example.com"), SLICE("a/b"), 0, "ledger/example.com/a/b"},
	    {SLICE("example.com"), SLICE("\xc3\x84"), 0, "ledger/example.com/\xc3\x84"},
	    {SLICE("example.com"), SLICE(""), ERR_SYNTAX, NULL},
	    {SLICE(""), SLICE("joe"), ERR_SYNTAX, NULL},
	    {SLICE("a/b"), SLICE("joe"), ERR_SYNTAX, NULL},
	    {SLICE("example.com"), SLICE("j\0e"), ERR_SYNTAX, NULL},
	    {SLICE("example.com"), SLICE("12345678901234567890123456789012345678901234567890123456789012345"),
	     ERR_LIMIT, NULL},
	};
	char key[LEDGER_KEY_MAX];
	size_t size;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(ledger_key(table[i].domain, table[i].local, key, &size), table[i].error);
		if (table[i].error != 0)
			continue;
		assert_true(slice_equal(slice_make(key, size), slice_of(table[i].key)));
		struct slice local = ledger_key_local(slice_make(key, size), table[i].domain);
		assert_true(slice_equal_nocase(local, table[i].local) || i == 2);
	}
	assert_int_equal(ledger_key_local(SLICE("ledger/example.com/"), SLICE("example.com")).size, 0);
	assert_int_equal(ledger_key_local(SLICE("ledger/example.com.org/x"), SLICE("example.com")).size, 0);
	assert_int_equal(ledger_key_local(SLICE("flow/example.com/x"), SLICE("example.com")).size, 0);
	assert_int_equal(ledger_key_local(SLICE("led"), SLICE("example.com")).size, 0);
}

static void keys_have_a_limit(void **state)
{
	char domain[256], key[LEDGER_KEY_MAX];
	size_t size = 0, most = LEDGER_KEY_MAX - 7 - 1 - 3;

	memset(domain, 'd', sizeof(domain));
	assert_int_equal(ledger_key(slice_make(domain, most - 1), SLICE("joe"), key, &size), 0);
	assert_int_equal(ledger_key(slice_make(domain, most), SLICE("joe"), key, &size), 0);
	assert_int_equal(size, LEDGER_KEY_MAX);
	assert_int_equal(ledger_key(slice_make(domain, most + 1), SLICE("joe"), key, &size), ERR_LIMIT);
}

static void entries_are_written_and_read(void **state)
{
	struct play play;
	struct ledger_entry read;
	struct buffer value;
	char copy[128];

	start(&play);
	play.entry = ledger_entry(LEDGER_CSV);
	play.entry.pinned = true;
	accept(&play, "joe");
	ledger_was_refused(&play.entry, &play.domain, true, WALL + 5);
	ledger_depart(&play.entry, &play.domain, SLICE("joe"));
	buffer_init(&value, 0);
	assert_int_equal(ledger_encode(&play.entry, &value), 0);
	memset(&read, 0, sizeof(read));
	assert_int_equal(ledger_decode(buffer_slice(&value), &read), 0);
	assert_true(read.pinned && read.departed);
	assert_int_equal(read.source, LEDGER_CSV);
	assert_int_equal(read.first_good_ms, WALL);
	assert_int_equal(read.last_refused_ms, WALL + 5);
	assert_int_equal(read.good_service_ms, 1000 * DAY);
	assert_int_equal(read.counted, 1);
	assert_int_equal(read.good_count, 1);
	for (size_t cut = 0; cut < buffer_size(&value); cut++)
		assert_int_equal(ledger_decode(slice_upto(buffer_slice(&value), cut), &read), ERR_CORRUPT);
	memcpy(copy, buffer_slice(&value).data, buffer_size(&value));
	copy[0] = 9;
	assert_int_equal(ledger_decode(slice_make(copy, buffer_size(&value)), &read), ERR_VERSION);
	copy[0] = 1;
	copy[1] = LEDGER_CSV + 1;
	assert_int_equal(ledger_decode(slice_make(copy, buffer_size(&value)), &read), ERR_CORRUPT);
	buffer_deinit(&value);
}

static void domains_are_written_and_read(void **state)
{
	struct play play;
	struct ledger_domain read;
	struct buffer value;

	start(&play);
	accept(&play, "joe");
	accept(&play, "jane");
	ledger_made_up(&play.domain, false);
	play.domain.null_sender = true;
	buffer_init(&value, 0);
	assert_int_equal(ledger_domain_save(&play.domain, &value), 0);
	memset(&read, 0, sizeof(read));
	assert_int_equal(ledger_domain_load(&read, buffer_slice(&value)), 0);
	assert_memory_equal(&read, &play.domain, sizeof(read));
	for (size_t cut = 0; cut < buffer_size(&value); cut++)
		assert_int_equal(ledger_domain_load(&read, slice_upto(buffer_slice(&value), cut)),
				 ERR_CORRUPT);
	assert_memory_equal(&read, &play.domain, sizeof(read));
	buffer_deinit(&value);
	buffer_init(&value, 10);
	assert_true(ledger_domain_save(&play.domain, &value) != 0);
	assert_true(ledger_encode(&play.entry, &value) != 0);
	buffer_deinit(&value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ages_with_service),
	    cmocka_unit_test(an_outage_ages_nobody),
	    cmocka_unit_test(named_ones_stay),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(a_refused_known_one),
	    cmocka_unit_test(the_last_ones_are_asked),
	    cmocka_unit_test(catch_all),
	    cmocka_unit_test(written_only_when_it_says_something_new),
	    cmocka_unit_test(keys),
	    cmocka_unit_test(keys_have_a_limit),
	    cmocka_unit_test(entries_are_written_and_read),
	    cmocka_unit_test(domains_are_written_and_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
