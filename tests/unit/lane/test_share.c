#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lane/share.h"

static void who_finds_room(void **state)
{
	static const struct {
		uint64_t capacity, free, held, more;
		uint32_t percent;
		bool alone;
		enum share_answer answer;
	} table[] = {
	    {0, 0, 500, 500, 30, false, SHARE_ROOM}, /* without limit */
	    {1000, 1000, 0, 0, 30, false, SHARE_ROOM},
	    {1000, 510, 490, 10, 30, false, SHARE_ROOM}, /* the first half is for whoever comes */
	    {1000, 510, 490, 11, 30, false, SHARE_USED_UP},
	    {1000, 499, 299, 0, 30, false, SHARE_ROOM},
	    {1000, 499, 299, 1, 30, false, SHARE_ROOM},
	    {1000, 499, 299, 2, 30, false, SHARE_USED_UP},
	    {1000, 499, 501, 0, 30, false, SHARE_USED_UP},
	    {1000, 499, 501, 0, 51, false, SHARE_ROOM},
	    {1000, 499, 501, 0, 30, true, SHARE_ROOM},
	    {1000, 200, 800, 0, 100, false, SHARE_ROOM}, /* all of it, but for the last tenth */
	    {1000, 100, 900, 0, 100, false, SHARE_ROOM},
	    {1000, 100, 900, 1, 100, false, SHARE_LARGEST},
	    {1000, 99, 250, 0, 30, false, SHARE_LARGEST},
	    {1000, 99, 99, 0, 30, false, SHARE_ROOM},
	    {1000, 99, 98, 1, 30, false, SHARE_LARGEST}, /* what comes counts on both sides */
	    {1000, 99, 97, 1, 30, false, SHARE_ROOM},
	    {1000, 10, 11, 0, 30, false, SHARE_LARGEST},
	    {1000, 10, 5, 0, 30, false, SHARE_ROOM},
	    {1000, 10, 0, 4, 30, false, SHARE_ROOM},
	    {1000, 0, 0, 0, 30, false, SHARE_ROOM}, /* whether it fits is for the store to say */
	    {1000, 5, 0, 2000, 30, false, SHARE_USED_UP},
	    {1ULL << 60, 1ULL << 58, 1ULL << 58, 0, 30, false, SHARE_ROOM},
	    {1ULL << 60, 1ULL << 58, 1ULL << 59, 0, 30, false, SHARE_USED_UP},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct share_spool spool = {table[i].capacity, table[i].free};
		struct share_domain domain = {table[i].held, table[i].percent, table[i].alone};
		if (share_ask(&spool, &domain, table[i].more) != table[i].answer)
			print_error("row %zu\n", i);
		assert_int_equal(share_ask(&spool, &domain, table[i].more), table[i].answer);
	}
}

enum { DOMAINS = 2000, CAPACITY_KIB = 1000 * 1024 };

struct crowd {
	uint64_t held[DOMAINS], free;
	uint32_t refused[DOMAINS];
};

static void offer(struct crowd *c, size_t domain, uint64_t bytes)
{
	struct share_spool spool = {CAPACITY_KIB * 1024ULL, c->free};
	struct share_domain d = {c->held[domain], SHARE_PERCENT, false};

	if (c->free < bytes || share_ask(&spool, &d, bytes) != SHARE_ROOM) {
		c->refused[domain]++;
		return;
	}
	c->held[domain] += bytes;
	c->free -= bytes;
}

/* Some domains are down and hold all that comes; the others get mail now and then, which leaves at once. */
static void play(struct crowd *c, size_t down, uint64_t bytes)
{
	*c = (struct crowd){.free = CAPACITY_KIB * 1024ULL};
	for (unsigned round = 0; round < 3 * CAPACITY_KIB * 1024ULL / bytes / down; round++) {
		for (size_t i = 0; i < down; i++)
			offer(c, i, bytes);
		size_t other = down + round % (DOMAINS - down);
		offer(c, other, bytes);
		c->free += c->held[other];
		c->held[other] = 0;
	}
}

static void the_others_notice_nothing(void **state)
{
	static struct crowd c;

	(void)state;
	for (size_t down = 1; down <= 64; down *= 2) {
		play(&c, down, 200000);
		for (size_t i = 0; i < DOMAINS; i++) {
			if (i < down)
				assert_true(c.refused[i] > 0);
			else
				assert_int_equal(c.refused[i], 0);
		}
		assert_true(c.free >= 200000);
		/* Equal ones hold the same, and most of the spool is used once it takes several to fill it.
		 */
		for (size_t i = 1; i < down; i++)
			assert_in_range(c.held[i] + 200000, c.held[0], c.held[0] + 400000);
		if (down >= 4)
			assert_true(c.free < CAPACITY_KIB * 1024ULL / 10 + 200000);
	}
}

static void a_domain_that_went_down_later_finds_room(void **state)
{
	static struct crowd c;

	(void)state;
	play(&c, 4, 200000);
	for (int i = 0; i < 100; i++)
		offer(&c, 7, 100000);
	assert_int_equal(c.refused[7], 0);
	assert_int_equal(c.held[7], 100 * 100000);
}

static void shares_in_bytes(void **state)
{
	(void)state;
	assert_int_equal(share_bytes(1000, 30), 300);
	assert_int_equal(share_bytes(99, 50), 49);
	assert_int_equal(share_bytes(7, 100), 7);
	assert_int_equal(share_bytes(UINT64_MAX, 100), UINT64_MAX);
	assert_int_equal(share_bytes(0, 30), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_finds_room),
	    cmocka_unit_test(the_others_notice_nothing),
	    cmocka_unit_test(a_domain_that_went_down_later_finds_room),
	    cmocka_unit_test(shares_in_bytes),
	};

	return cmocka_run_group_tests_name("shares of the spool", tests, NULL, NULL);
}
