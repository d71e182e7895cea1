#include "sim/story.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/story_private.h"

enum {
	LINE_SIZE = 256,
	SMALLEST_MAIL = 200,
	LARGEST_MAIL = 3000,
	STORY_TURNS_MAX = 20000000,
};

#define FINISH_LIMIT_US CLOCK_SECONDS(6 * 3600)

void story_fail(struct story *story, const char *format, ...)
{
	char words[200];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	story->failed = true;
	sim_note(&story->scene.world, "FAILED: %s", words);
	(void)printf("%s:%u: at %.3f s: %s\n", story->path, story->line,
		     (double)story->scene.world.now_us / 1e6, words);
}

/* --- words
 * ------------------------------------------------------------------------------------------------------------
 */

const char *story_word(const struct story *story, size_t i)
{
	return i < story->count ? story->words[i] : "";
}

bool story_is(const struct story *story, size_t i, const char *word)
{
	return strcmp(story_word(story, i), word) == 0;
}

bool story_number(const struct story *story, size_t i, uint64_t *ret_number)
{
	return slice_to_u64(slice_of(story_word(story, i)), ret_number) == 0;
}

bool story_time(const struct story *story, size_t i, int64_t *ret_us)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {{"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000}};
	const char *word = story_word(story, i);
	const size_t digits = strspn(word, "0123456789");
	uint64_t number;

	if (slice_to_u64(slice_make(word, digits), &number) != 0)
		return false;
	for (size_t k = 0; k < sizeof(units) / sizeof(units[0]); k++) {
		if (strcmp(word + digits, units[k].unit) != 0)
			continue;
		*ret_us = (int64_t)number * units[k].us;
		return true;
	}
	return false;
}

bool story_chance(const struct story *story, size_t i, double *ret_chance)
{
	const char *word = story_word(story, i);
	char *end;
	double chance = strtod(word, &end);

	if (end == word || *end != '\0' || chance < 0 || chance > 1)
		return false;
	*ret_chance = chance;
	return true;
}

struct sim_server *story_find_server(struct story *story, size_t i)
{
	for (size_t k = 0; k < story->scene.server_count; k++)
		if (story_is(story, i, story->scene.server_names[k]))
			return &story->scene.servers[k];
	return NULL;
}

size_t story_find_domain(const struct story *story, size_t i)
{
	for (size_t k = 0; k < story->scene.domain_count; k++)
		if (story_is(story, i, story->scene.domains[k]))
			return k;
	return SIM_DOMAINS_MAX;
}

/* --- the cast
 * ---------------------------------------------------------------------------------------------------------
 */

static bool do_server(struct story *story)
{
	struct sim_server *server = sim_scene_server(&story->scene);

	return story_is(story, 1, server->host->name);
}

static bool do_sender(struct story *story)
{
	struct sim_sender *sender = sim_scene_sender(&story->scene);

	return story_is(story, 1, sender->host->name);
}

static bool set_mx(struct story *story, const char *domain, size_t first)
{
	struct sim_resolver *resolver = &story->scene.resolver;
	char host[64];

	sim_name_clear(resolver, slice_of(domain));
	for (size_t i = first; i < story->count; i++) {
		if (story_find_server(story, i) == NULL)
			return false;
		(void)snprintf(host, sizeof(host), "%s.test", story_word(story, i));
		size_t rank = story_is(story, first - 1, "mx-equal") ? 1 : i - first + 1;
		sim_name_mx(resolver, slice_of(domain), (uint16_t)(10 * rank), slice_of(host));
	}
	return true;
}

static bool is_mx(const struct story *story, size_t word)
{
	return story_is(story, word, "mx") || story_is(story, word, "mx-equal");
}

static bool do_domain(struct story *story)
{
	const char *name = sim_scene_domain(&story->scene);
	char hosts[SIM_SERVERS_MAX][64];
	struct slice to[SIM_SERVERS_MAX];
	size_t count = 0;

	if (!story_is(story, 1, name))
		return false;
	if (is_mx(story, 2) && !set_mx(story, name, 3))
		return false;
	if (story_is(story, 2, "null-mx"))
		sim_name_mx(&story->scene.resolver, slice_of(name), 0, SLICE(""));
	for (size_t i = 3; story_is(story, 2, "to") && i < story->count && count < SIM_SERVERS_MAX; i++) {
		(void)snprintf(hosts[count], sizeof(hosts[count]), "%s.test", story_word(story, i));
		to[count] = slice_of(hosts[count]);
		count++;
	}
	return sim_node_add_domain(&story->scene.node, name, to, count);
}

/* --- what happens
 * ----------------------------------------------------------------------------------------------------- */

static bool do_send(struct story *story)
{
	struct sim_scene *scene = &story->scene;
	size_t domains[SIM_DOMAINS_MAX], count = 0, word = 3;
	uint64_t mails, size = 0, only = SIM_USERS;
	int64_t over_us;

	for (; count < SIM_DOMAINS_MAX && story_find_domain(story, word) < SIM_DOMAINS_MAX; word++)
		domains[count++] = story_find_domain(story, word);
	if (!story_number(story, 1, &mails) || count == 0 || !story_is(story, word, "over") ||
	    !story_time(story, word + 1, &over_us) || scene->sender_count == 0)
		return false;
	if (story_is(story, word + 2, "size") && !story_number(story, word + 3, &size))
		return false;
	if (story_is(story, word + 2, "user") && (!story_number(story, word + 3, &only) || only >= SIM_USERS))
		return false;
	for (uint64_t i = 0; i < mails; i++) {
		char address[SIM_ADDRESS_SIZE];
		int64_t bytes =
		    size > 0 ? (int64_t)size : sim_log_uniform(&scene->world, SMALLEST_MAIL, LARGEST_MAIL);
		struct sim_mail *mail = sim_scene_mail(scene, (size_t)bytes);
		unsigned user = (unsigned)(only < SIM_USERS ? only : rng_below(&scene->world.rng, SIM_USERS));
		for (size_t k = 0; k < count; k++) {
			sim_scene_address(scene, domains[k], (user + (unsigned)k) % SIM_USERS, address);
			sim_mail_to(mail, address, false);
		}
		sim_sender_submit(&scene->senders[0], mail,
				  scene->world.now_us + over_us * (int64_t)i / (int64_t)mails);
	}
	return true;
}

static bool do_wait(struct story *story)
{
	int64_t us;

	if (!story_time(story, 1, &us))
		return false;
	(void)sim_node_run(&story->scene.node, story->scene.world.now_us + us, NULL, NULL);
	sim_node_check(&story->scene.node);
	return true;
}

static bool do_senders(struct story *story)
{
	static const char *const quirks[] = {"", "leave", "reset", "abort", "half-close", "drip"};
	double chance;

	if (!story_chance(story, 2, &chance))
		return false;
	for (size_t q = 1; q < sizeof(quirks) / sizeof(quirks[0]); q++) {
		if (!story_is(story, 1, quirks[q]))
			continue;
		for (size_t i = 0; i < story->scene.sender_count; i++) {
			story->scene.senders[i].config.quirk = chance;
			story->scene.senders[i].config.only = (enum sim_quirk)q;
		}
		return true;
	}
	return false;
}

static void kill_and_start(void *owner)
{
	struct story *story = owner;

	sim_node_kill(&story->scene.node);
	sim_node_start_after(&story->scene.node, CLOCK_SECONDS(1));
}

static void on_moment(void *owner, enum sim_moment moment)
{
	struct story *story = owner;
	struct sim_world *world = &story->scene.world;
	double chance = moment == SIM_MOMENT_ACKED ? story->kill_at_ack : story->kill_at_stored;

	if (story->scene.node.relay != NULL && sim_chance(world, chance))
		sim_after(world, &story->kill, sim_log_uniform(world, 1, 20000));
}

static bool do_relay(struct story *story)
{
	if (story_is(story, 1, "stop"))
		sim_node_stop(&story->scene.node);
	else if (story_is(story, 1, "killed"))
		sim_node_kill(&story->scene.node);
	else if (story_is(story, 1, "power-cut"))
		sim_node_power_cut(&story->scene.node);
	else if (story_is(story, 1, "start"))
		return sim_node_start(&story->scene.node), sim_node_run_ready(&story->scene.node);
	else if (story_is(story, 1, "dies-at") && story_is(story, 2, "ack"))
		return story_chance(story, 3, &story->kill_at_ack);
	else if (story_is(story, 1, "dies-at") && story_is(story, 2, "stored"))
		return story_chance(story, 3, &story->kill_at_stored);
	else
		return false;
	return true;
}

static bool do_hand(struct story *story)
{
	size_t domain = story_find_domain(story, 1);

	if (domain == SIM_DOMAINS_MAX)
		return false;
	if (story_is(story, 0, "pause"))
		sim_node_hold(&story->scene.node, story->scene.domains[domain]);
	else if (story_is(story, 0, "resume"))
		sim_node_resume(&story->scene.node, story->scene.domains[domain]);
	else
		sim_node_probe(&story->scene.node, story->scene.domains[domain]);
	return true;
}

static bool do_clock(struct story *story)
{
	char *word = story->words[1];
	int64_t us, sign = word[0] == '-' ? -1 : 1;

	if (word[0] != '-' && word[0] != '+')
		return false;
	memmove(word, word + 1, strlen(word));
	if (!story_time(story, 1, &us))
		return false;
	sim_wall_jump(&story->scene.world, sign * us / 1000);
	return true;
}

static bool do_dns(struct story *story)
{
	if (is_mx(story, 2))
		return set_mx(story, story_word(story, 1), 3);
	story->scene.resolver.dead = story_is(story, 1, "dead");
	return story->scene.resolver.dead || story_is(story, 1, "fine");
}

static bool do_store(struct story *story)
{
	struct sim_store_faults faults = {0};
	struct sim_store *store = &story->scene.node.store;

	if (story_is(story, 1, "fine")) {
		sim_store_faults(store, NULL);
		return true;
	}
	double *which = story_is(story, 1, "late")	? &faults.late
			: story_is(story, 1, "unknown") ? &faults.unknown
			: story_is(story, 1, "failed")	? &faults.failed
			: story_is(story, 1, "full")	? &faults.full
							: NULL;
	if (which == NULL || !story_chance(story, 2, which))
		return false;
	sim_store_faults(store, &faults);
	return true;
}

static bool do_mark(struct story *story)
{
	sim_oracle_mark(&story->scene.oracle);
	for (size_t i = 0; i < story->scene.server_count; i++) {
		story->connects_at_mark[i] = story->scene.servers[i].host->connects_seen;
		story->stored_at_mark[i] = story->scene.servers[i].stored;
		story->scene.servers[i].transactions_max = 0;
	}
	return true;
}

static bool do_calm(struct story *story)
{
	story->calmed = true;
	story->kill_at_ack = 0;
	story->kill_at_stored = 0;
	sim_cancel(&story->scene.world, &story->kill);
	sim_scene_calm(&story->scene);
	return true;
}

/* --- reading
 * ----------------------------------------------------------------------------------------------------------
 */

static bool play_line(struct story *story)
{
	static const struct {
		const char *word;
		bool (*act)(struct story *story);
	} table[] = {
	    {"server", do_server}, {"sender", do_sender},   {"domain", do_domain}, {"send", do_send},
	    {"wait", do_wait},	   {"senders", do_senders}, {"relay", do_relay},   {"pause", do_hand},
	    {"resume", do_hand},   {"probe", do_hand},	    {"clock", do_clock},   {"dns", do_dns},
	    {"store", do_store},   {"mark", do_mark},	    {"calm", do_calm},	   {"expect", story_expect},
	};
	struct sim_server *server = story_find_server(story, 0);

	if (server != NULL)
		return story_server(story, server);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (story_is(story, 0, table[i].word))
			return table[i].act(story);
	return false;
}

static void split(struct story *story, struct slice line)
{
	struct slice word;

	story->count = 0;
	while (slice_split(&line, ' ', &word)) {
		word = slice_trim(word);
		if (word.size == 0 || story->count == STORY_WORDS_MAX)
			continue;
		(void)snprintf(story->words[story->count++], STORY_WORD_SIZE, "%.*s", SLICE_ARG(word));
	}
}

static void play(struct story *story, FILE *file)
{
	char line[LINE_SIZE];

	while (!story->failed && fgets(line, sizeof(line), file) != NULL) {
		struct slice text = slice_upto(slice_of(line), strcspn(line, "\r\n"));
		story->line++;
		split(story, slice_trim(text));
		if (story->count == 0 || story->words[0][0] == '#')
			continue;
		sim_note(&story->scene.world, "line %u: %.*s", story->line, SLICE_ARG(text));
		if (!play_line(story))
			story_fail(story, "not understood: %.*s", SLICE_ARG(text));
	}
}

static void finish(struct story *story)
{
	if (!story->calmed)
		(void)do_calm(story);
	sim_scene_drain(&story->scene, FINISH_LIMIT_US);
	sim_node_check(&story->scene.node);
	(void)sim_node_run(&story->scene.node, story->scene.world.now_us + CLOCK_SECONDS(5), NULL, NULL);
	sim_oracle_finish(&story->scene.oracle);
}

bool sim_story(const char *path, uint64_t seed, enum sim_store_kind kind, FILE *verbose)
{
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		(void)printf("%s cannot be read\n", path);
		return false;
	}

	struct story *story = sim_alloc(sizeof(struct story));
	story->path = path;
	sim_scene_init(&story->scene, seed, kind, verbose);
	story->scene.node.turns_max = STORY_TURNS_MAX;
	story->scene.oracle.moment = on_moment;
	story->scene.oracle.moment_owner = story;
	sim_event_init(&story->kill, kill_and_start, story);
	sim_node_start(&story->scene.node);
	play(story, file);
	(void)fclose(file);
	if (!story->failed)
		finish(story);
	bool good = !story->failed && story->scene.oracle.violations == 0;
	if (story->scene.oracle.violations > 0)
		(void)printf("%s: %s\n", path, story->scene.oracle.first);
	sim_scene_deinit(&story->scene);
	free(story);
	return good;
}
