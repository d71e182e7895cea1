#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "lane/distrust.h"
#include "lane/tuning.h"

#define SECOND 1000000LL
#define HOUR   (3600 * SECOND)

struct play {
	struct distrust d;
	int64_t now;
	uint64_t next;
};

static void start(struct play *play)
{
	*play = (struct play){.now = HOUR, .next = 1000};
	distrust_init(&play->d, play->now);
}

static struct distrust_advice say(struct play *play, enum verdict verdict, uint64_t class_hash,
				  uint64_t sender, uint64_t message, bool probe)
{
	struct distrust_event event = {.verdict = verdict,
				       .class_hash = class_hash,
				       .sender = sender,
				       .message = message,
				       .reply = SLICE("550 5.7.1 SPF check failed"),
				       .probe = probe};
	return distrust_event(&play->d, &event, play->now);
}

static struct distrust_advice refuse(struct play *play, uint64_t class_hash)
{
	play->next++;
	return say(play, VERDICT_US, class_hash, play->next, play->next, false);
}

static struct distrust_advice accept(struct play *play, uint64_t class_hash)
{
	return say(play, VERDICT_OK, class_hash, 1, 1, false);
}

static void two_messages_hold_a_class(void **state)
{
	struct play play;

	start(&play);
	assert_int_equal(refuse(&play, 1).act, DISTRUST_PARK);
	assert_true(distrust_permits(&play.d, 1));
	assert_int_equal(refuse(&play, 1).act, DISTRUST_HOLD);
	assert_false(distrust_permits(&play.d, 1));
	assert_true(distrust_permits(&play.d, 2));
	assert_string_equal(play.d.reply, "550 5.7.1 SPF check failed");
	assert_true(accept(&play, 1).released); /* one on its way was taken */
	assert_false(distrust_holds(&play.d));
}

static void three_messages_of_one_sender_hold_a_class(void **state)
{
	struct play play;

	start(&play);
	assert_int_equal(say(&play, VERDICT_US, 1, 7, 1, false).act, DISTRUST_PARK);
	assert_int_equal(say(&play, VERDICT_US, 1, 7, 2, false).act, DISTRUST_PARK);
	assert_int_equal(say(&play, VERDICT_US, 1, 7, 3, false).act, DISTRUST_HOLD);
}

static void one_message_does_not(void **state)
{
	struct play play;

	start(&play);
	for (uint64_t i = 1; i < 50; i++) {
		assert_int_equal(say(&play, VERDICT_US, 2, i, 7, false).act, DISTRUST_PARK);
		say(&play, VERDICT_REFUSED, 3, i, i, false);
		say(&play, VERDICT_MESSAGE, 3, i, i, false);
	}
	assert_false(distrust_holds(&play.d));
	assert_int_equal(distrust_deadline(&play.d, play.now), INT64_MAX);
}

static void a_class_that_is_accepted_needs_more(void **state)
{
	struct play play;

	start(&play);
	for (uint32_t i = 0; i < 20; i++)
		accept(&play, 1);
	for (uint32_t i = 1; i < DISTRUST_REFUSED + DISTRUST_ACCEPTED_MAX; i++)
		assert_int_equal(refuse(&play, 1).act, DISTRUST_PARK);
	accept(&play, 1);
	for (uint32_t i = 1; i < DISTRUST_REFUSED + DISTRUST_ACCEPTED_MAX; i++)
		assert_int_equal(refuse(&play, 1).act, DISTRUST_PARK);
	assert_int_equal(refuse(&play, 1).act, DISTRUST_HOLD);
}

static void hold(struct play *play, uint64_t class_hash)
{
	refuse(play, class_hash);
	refuse(play, class_hash);
	assert_false(distrust_permits(&play->d, class_hash));
}

static void one_alarm(void **state)
{
	struct play play;

	start(&play);
	refuse(&play, 1);
	assert_false(refuse(&play, 1).alarm);
	refuse(&play, 2);
	assert_true(refuse(&play, 2).alarm);
	for (uint64_t i = 3; i < 100; i++) {
		assert_false(refuse(&play, i).alarm);
		assert_false(refuse(&play, i).alarm);
	}
	for (uint64_t i = 1; i < 100; i++)
		accept(&play, i);
	assert_false(distrust_holds(&play.d));
	play.now += DISTRUST_QUIET_US - 1;
	hold(&play, 200);
	refuse(&play, 201);
	assert_false(refuse(&play, 201).alarm); /* within the hour: it comes and goes */
	accept(&play, 200);
	accept(&play, 201);
	play.now += DISTRUST_QUIET_US;
	refuse(&play, 300);
	refuse(&play, 300);
	refuse(&play, 301);
	assert_true(refuse(&play, 301).alarm);
}

static void probes_every_15_seconds(void **state)
{
	struct play play;

	start(&play);
	hold(&play, 1);
	hold(&play, 2);
	hold(&play, 3);
	for (int i = 0; i < 5; i++) {
		assert_false(distrust_permit(&play.d, play.now).probe);
		assert_int_equal(distrust_deadline(&play.d, play.now), play.now + DISTRUST_PROBE_US);
		play.now += DISTRUST_PROBE_US;
		assert_true(distrust_permit(&play.d, play.now).probe);
		distrust_probe_out(&play.d, play.now);
		assert_false(distrust_permit(&play.d, play.now + HOUR / 10).probe);
		assert_int_equal(say(&play, VERDICT_US, 1 + (uint64_t)i % 3, 5, 5, true).act, DISTRUST_HOLD);
	}
	play.now += DISTRUST_PROBE_US;
	distrust_probe_out(&play.d, play.now);
	assert_true(distrust_permit(&play.d, play.now + REFUSAL_PROBE_LOST_US).probe);
	assert_true(say(&play, VERDICT_OK, 2, 5, 5, true).released);
	assert_true(distrust_permits(&play.d, 2));
	assert_false(distrust_permits(&play.d, 1));
	assert_true(distrust_permit(&play.d, play.now).probe); /* at once another class */
	distrust_probe_out(&play.d, play.now);
	assert_true(say(&play, VERDICT_OK, 1, 5, 5, true).released);
	assert_true(distrust_permits(&play.d, 3)); /* two classes: mended */
	assert_false(distrust_holds(&play.d));
}

static void all_only_after_a_check(void **state)
{
	struct play play;

	start(&play);
	for (uint64_t i = 1; i <= 50; i++)
		refuse(&play, i);
	assert_true(distrust_permits(&play.d, 99));
	assert_true(distrust_permit(&play.d, play.now).check);
	distrust_check_out(&play.d, play.now);
	distrust_checked(&play.d, true, false,
			 play.now); /* it takes known recipients: those senders' matter */
	assert_true(distrust_permits(&play.d, 99));
	for (uint64_t i = 1; i <= 50; i++)
		refuse(&play, 100 + i);
	assert_false(distrust_permit(&play.d, play.now).check); /* not all the time */
	play.now += DISTRUST_CHECK_US;
	refuse(&play, 500);
	assert_true(distrust_permit(&play.d, play.now).check);
	distrust_check_out(&play.d, play.now);
	assert_false(distrust_checked(&play.d, false, false, play.now).alarm); /* no answer */
	for (uint64_t i = 1; i <= 4; i++)
		refuse(&play, 600 + i);
	play.now += DISTRUST_CHECK_US;
	refuse(&play, 700);
	distrust_check_out(&play.d, play.now);
	assert_true(distrust_checked(&play.d, true, true, play.now).alarm);
	assert_false(distrust_permits(&play.d, 99));
	play.now += DISTRUST_PROBE_US;
	assert_true(distrust_permit(&play.d, play.now).probe);
	distrust_probe_out(&play.d, play.now);
	assert_true(say(&play, VERDICT_OK, 9999, 5, 5, true).released);
	assert_true(distrust_permits(&play.d, 99));
}

static void an_accept_between_wants_no_check(void **state)
{
	struct play play;

	start(&play);
	for (uint64_t i = 1; i <= 300; i++) {
		refuse(&play, i);
		refuse(&play, i);
		accept(&play, 7777);
		assert_false(distrust_permit(&play.d, play.now).check);
	}
	/* More classes than there is place for: the rest is parked, not held, and none is forgotten. */
	assert_int_equal(play.d.held_count, DISTRUST_CLASSES);
	assert_false(distrust_permits(&play.d, 1));
	assert_int_equal(refuse(&play, 300).act, DISTRUST_PARK);
}

/* Half of the senders' domains have a strict policy; the server applies it to us for an hour. */
static void half_of_all_senders(void **state)
{
	enum { DOMAINS = 200, MINUTES = 60 };
	static const uint64_t seeds[] = {1, 2, 3};

	for (size_t s = 0; s < sizeof(seeds) / sizeof(seeds[0]); s++) {
		uint64_t waiting[DOMAINS] = {0}, alarms = 0, attempts = 0, refused = 0;
		int64_t fixed, last_us = 0;
		struct play play;
		struct rng rng;

		start(&play);
		rng_init(&rng, seeds[s]);
		fixed = play.now + MINUTES * 60 * SECOND;
		for (; play.now < fixed + 120 * SECOND; play.now += SECOND / 2) {
			uint64_t domain = rng_below(&rng, DOMAINS);
			bool probe = distrust_permit(&play.d, play.now).probe, strict;

			waiting[domain]++;
			if (probe) { /* another class each time, one that waits */
				for (domain = rng_below(&rng, DOMAINS);
				     waiting[domain] == 0 || distrust_permits(&play.d, domain + 1);)
					domain = (domain + 1) % DOMAINS;
				distrust_probe_out(&play.d, play.now);
			} else if (!distrust_permits(&play.d, domain + 1)) {
				continue;
			}
			strict = domain % 2 == 0 && play.now < fixed;
			attempts++;
			refused += strict;
			struct distrust_advice advice =
			    say(&play, strict ? VERDICT_US : VERDICT_OK, domain + 1, rng_next(&rng),
				rng_next(&rng), probe);
			alarms += advice.alarm;
			if (!strict)
				waiting[domain] = 0;
			assert_true(domain % 2 == 0 || distrust_permits(&play.d, domain + 1));
			if (advice.released && play.now >= fixed && !distrust_holds(&play.d))
				last_us = last_us > 0 ? last_us : play.now;
		}
		print_message("half of all senders: mended after %.1f s, %llu of %llu attempts refused\n",
			      (double)(last_us - fixed) / 1e6, (unsigned long long)refused,
			      (unsigned long long)attempts);
		assert_true(last_us > 0 && last_us - fixed <= 20 * SECOND);
		assert_int_equal(alarms, 1);
		assert_true(refused <= DOMAINS + MINUTES * 4 + 10);
	}
}

static void survives_a_restart(void **state)
{
	struct play play;
	struct distrust loaded;
	struct buffer saved;

	start(&play);
	hold(&play, 1);
	hold(&play, 2);
	play.d.all = true;
	buffer_init(&saved, 0);
	assert_int_equal(distrust_save(&play.d, &saved), 0);
	memset(&loaded, 1, sizeof(loaded));
	assert_int_equal(distrust_load(&loaded, buffer_slice(&saved), 5), 0);
	assert_true(loaded.all && loaded.alarmed);
	assert_int_equal(loaded.held_count, 0);
	assert_string_equal(loaded.reply, play.d.reply);
	assert_true(distrust_permit(&loaded, 5).probe);
	for (size_t cut = 0; cut < buffer_size(&saved); cut++)
		assert_int_equal(distrust_load(&loaded, slice_upto(buffer_slice(&saved), cut), 5),
				 ERR_CORRUPT);
	assert_int_equal(distrust_load(&loaded, SLICE("\2\0\0\0\0\0\0"), 5), ERR_VERSION);
	assert_int_equal(distrust_load(&loaded, SLICE("\1\2\0\0\0\0\0"), 5), ERR_CORRUPT);
	buffer_deinit(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_messages_hold_a_class),
	    cmocka_unit_test(one_message_does_not),
	    cmocka_unit_test(three_messages_of_one_sender_hold_a_class),
	    cmocka_unit_test(a_class_that_is_accepted_needs_more),
	    cmocka_unit_test(one_alarm),
	    cmocka_unit_test(probes_every_15_seconds),
	    cmocka_unit_test(all_only_after_a_check),
	    cmocka_unit_test(an_accept_between_wants_no_check),
	    cmocka_unit_test(half_of_all_senders),
	    cmocka_unit_test(survives_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
