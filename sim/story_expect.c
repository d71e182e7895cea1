/* What must come of a story. */
#include "sim/story_private.h"

static uint64_t held(const struct story *story)
{
	struct store_totals totals;

	sim_node_totals(&story->scene.node, &totals);
	return totals.queued;
}

static bool at_most(struct story *story, const char *what, uint64_t is, size_t word)
{
	uint64_t limit;

	if (!story_is(story, word, "at") || !story_is(story, word + 1, "most") ||
	    !story_number(story, word + 2, &limit))
		return false;
	if (is > limit)
		story_fail(story, "%llu %s, not at most %llu", (unsigned long long)is, what,
			   (unsigned long long)limit);
	return true;
}

static bool at_least(struct story *story, const char *what, uint64_t is, size_t word)
{
	uint64_t limit;

	if (!story_is(story, word, "at") || !story_is(story, word + 1, "least") ||
	    !story_number(story, word + 2, &limit))
		return false;
	if (is < limit)
		story_fail(story, "%llu %s, not at least %llu", (unsigned long long)is, what,
			   (unsigned long long)limit);
	return true;
}

static bool expect_held(struct story *story)
{
	uint64_t number;

	if (story_is(story, 3, "least"))
		return at_least(story, "recipients are held", held(story), 2);
	if (story_is(story, 3, "most"))
		return at_most(story, "recipients are held", held(story), 2);
	if (!story_number(story, 2, &number))
		return false;
	if (held(story) != number)
		story_fail(story, "%llu recipients are held", (unsigned long long)held(story));
	return true;
}

static bool first_held(void *owner)
{
	const struct story *story = owner;

	return story->scene.oracle.first_held_us != 0;
}

static bool nothing_owed(void *owner)
{
	const struct story *story = owner;

	return story->scene.oracle.owed == 0;
}

static bool nothing_owed_to_domain(void *owner)
{
	const struct story *story = owner;
	size_t domain = story_find_domain(story, 3);

	const char *but = story_is(story, 4, "but") ? story_word(story, 5) : NULL;
	return sim_oracle_owed_to(&story->scene.oracle, story->scene.domains[domain], but) == 0;
}

static bool drained(void *owner)
{
	struct story *story = owner;

	return sim_scene_drained(&story->scene);
}

/* Lets the world run until it is so. */
static bool within(struct story *story, size_t word, bool (*so)(void *owner))
{
	struct sim_world *world = &story->scene.world;
	int64_t limit_us, from_us = world->now_us;

	if (!story_is(story, word, "within") || !story_time(story, word + 1, &limit_us))
		return false;
	if (!sim_node_run(&story->scene.node, from_us + limit_us, so, story))
		story_fail(story, "not so: %llu recipients owed, %llu held",
			   (unsigned long long)story->scene.oracle.owed, (unsigned long long)held(story));
	else
		sim_note(world, "line %u: so after %.3f s", story->line,
			 (double)(world->now_us - from_us) / 1e6);
	return true;
}

static bool expect_delivered(struct story *story)
{
	if (!story_is(story, 2, "to"))
		return within(story, 2, nothing_owed);
	if (story_find_domain(story, 3) == SIM_DOMAINS_MAX)
		return false;
	return within(story, story_is(story, 4, "but") ? 6 : 4, nothing_owed_to_domain);
}

static bool expect_worst_delay(struct story *story)
{
	int64_t limit_us, is_us = story->scene.oracle.worst_delay_us;

	if (!story_is(story, 2, "at") || !story_is(story, 3, "most") || !story_time(story, 4, &limit_us))
		return false;
	if (is_us > limit_us)
		story_fail(story, "it was %.3f s", (double)is_us / 1e6);
	return true;
}

static bool expect_duplicates(struct story *story)
{
	const struct sim_oracle *oracle = &story->scene.oracle;

	return at_most(story, "duplicates", oracle->duplicates_crash + oracle->duplicates_reply_lost, 2);
}

static bool expect_at_server(struct story *story)
{
	const struct sim_server *server = story_find_server(story, 3);

	if (!story_is(story, 2, "at") || server == NULL)
		return false;
	if (story_is(story, 1, "transactions") && story_is(story, 5, "least"))
		return at_least(story, "transactions at one time", server->transactions_max, 4);
	if (story_is(story, 1, "transactions"))
		return at_most(story, "transactions at one time", server->transactions_max, 4);
	size_t number = (size_t)(server - story->scene.servers);
	if (story_is(story, 1, "stored"))
		return at_least(story, "were stored there", server->stored - story->stored_at_mark[number],
				4);
	uint64_t before = story->connects_at_mark[number];
	return at_most(story, "connection attempts", server->host->connects_seen - before, 4);
}

static bool expect_ends(struct story *story)
{
	struct store_totals totals;
	uint64_t number;

	sim_node_totals(&story->scene.node, &totals);
	if (!story_number(story, 2, &number))
		return false;
	if (totals.ended - totals.delivered != number)
		story_fail(story, "%llu recipients ended",
			   (unsigned long long)(totals.ended - totals.delivered));
	return true;
}

/* Senders were told in their session that the server refuses their message's content. */
static bool expect_told(struct story *story)
{
	uint64_t told = 0;

	for (size_t i = 0; i < story->scene.sender_count; i++)
		told += story->scene.senders[i].told_refused;
	return at_least(story, "messages refused in session", told, 2);
}

static bool expect_deferred(struct story *story)
{
	uint64_t deferred = 0;

	for (size_t i = 0; i < story->scene.sender_count; i++)
		deferred += story->scene.senders[i].deferred;
	if (deferred == 0)
		story_fail(story, "no sender was told to come again");
	return true;
}

bool story_expect(struct story *story)
{
	static const struct {
		const char *word;
		bool (*expect)(struct story *story);
	} table[] = {{"held", expect_held},
		     {"delivered", expect_delivered},
		     {"worst-delay", expect_worst_delay},
		     {"duplicates", expect_duplicates},
		     {"connects", expect_at_server},
		     {"transactions", expect_at_server},
		     {"stored", expect_at_server},
		     {"ends", expect_ends},
		     {"told-refused", expect_told},
		     {"deferred", expect_deferred}};

	if (story_is(story, 1, "first-held"))
		return within(story, 2, first_held);
	if (story_is(story, 1, "drained"))
		return within(story, 2, drained);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (story_is(story, 1, table[i].word))
			return table[i].expect(story);
	return false;
}
