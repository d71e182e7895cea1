#include "stage.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- servers --- */

struct servers *servers_new(struct play *play)
{
	struct servers *servers = calloc(1, sizeof(*servers));

	assert_non_null(servers);
	servers->play = play;
	return servers;
}

static void add_text(char *to, size_t size, const char *text)
{
	size_t used = strlen(to);

	assert_true(used + strlen(text) < size);
	(void)snprintf(to + used, size - used, "%s", text);
}

static bool begins(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

static const char *reply_to(struct servers *s, size_t i, const char *line)
{
	const char *reply = s->reply != NULL ? s->reply(s, i, line) : NULL;

	if (reply != NULL)
		return reply;
	if (begins(line, "EHLO"))
		return "250-mx.example\r\n250 PIPELINING\r\n";
	if (begins(line, "DATA"))
		return s->recipients[i][0] != '\0' ? "354 go\r\n" : "554 5.5.1 no valid recipients\r\n";
	if (begins(line, "QUIT"))
		return "221 bye\r\n";
	return "250 ok\r\n";
}

static void note(struct servers *s, size_t i, const char *line, const char *reply)
{
	char address[NET_ADDRESS_TEXT_SIZE], text[1024];

	if (begins(line, "MAIL") || begins(line, "RSET"))
		s->recipients[i][0] = '\0';
	if (begins(line, "RCPT TO:<") && reply[0] == '2') {
		const char *path = line + 9;
		(void)snprintf(text, sizeof(text), "%.*s %s\n", (int)strcspn(path, ">"), path,
			       net_address_text(&s->play->peers[i].to, address));
		add_text(s->recipients[i], sizeof(s->recipients[i]), text);
	}
	s->in_data[i] = begins(line, "DATA") && reply[0] == '3';
	if (strcmp(line, ".") == 0 && reply[0] == '2') {
		add_text(s->delivered, sizeof(s->delivered), s->recipients[i]);
		s->messages++;
	}
}

/* False: no whole line has come. */
static bool answer_line(struct servers *s, size_t i)
{
	struct peer *peer = &s->play->peers[i];
	char line[2048];
	char *end = strstr(s->commands[i], "\r\n");

	if (end == NULL)
		return false;
	(void)snprintf(line, sizeof(line), "%.*s", (int)(end - s->commands[i]), s->commands[i]);
	memmove(s->commands[i], end + 2, strlen(end + 2) + 1);
	if (s->in_data[i] && strcmp(line, ".") != 0)
		return true;
	const char *reply = reply_to(s, i, line);
	note(s, i, line, reply);
	if (peer->open && reply[0] != '\0')
		peer->events->received(peer->owner, slice_of(reply));
	return true;
}

void servers_answer(struct servers *s)
{
	struct play *play = s->play;

	for (size_t i = 0; i < play->peer_count; i++) {
		struct peer *peer = &play->peers[i];
		if (!peer->open || peer->to.family == 0) /* a sender */
			continue;
		if (!peer->accepted) {
			peer->accepted = true;
			peer->events->connected(peer->owner);
			if (peer->open)
				peer->events->received(peer->owner, SLICE("220 mx.example\r\n"));
		}
		add_text(s->commands[i], sizeof(s->commands[i]), play_read(peer));
		while (peer->open && answer_line(s, i))
			;
	}
	play_run(play);
}

void servers_work(struct servers *servers, int64_t ms, int64_t step_ms)
{
	for (int64_t passed = 0; passed < ms; passed += step_ms) {
		servers_answer(servers);
		play_pass(servers->play, step_ms);
	}
	servers_answer(servers);
}

/* --- the relay and its store --- */

int stage_times(const char *text, const char *what)
{
	int count = 0;

	for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
		count++;
	return count;
}

void stage_fail(struct play *play, double failed)
{
	struct ram_faults faults = {.failed = failed};

	ram_store_inject(play->store, &faults);
}

void stage_restart(struct play *play)
{
	struct relay_config config;

	ram_store_crash(play->store);
	relay_free(play->relay);
	relay_config_defaults(&config, "relay.example");
	config.ask_recipients = play->door;
	config.unseen_per_hour = 200;
	struct relay_ports ports = {&play->clock, &play->net, play->store, &play->resolver,
				    &play->log,	  43,	      &play->spf};
	play->peer_count = 0;
	play->relay = relay_new(&config, &ports);
	assert_non_null(play->relay);
}

bool stage_serves(struct play *play, const char *domain)
{
	return admin_status(play->relay, slice_of(domain), NULL, NULL, NULL);
}

void stage_set_hosts(struct play *play, const char *domain, const char *hosts)
{
	struct play_answer answer = {.came = false};

	admin_domain_set(play->relay, slice_of(domain), SLICE("to"), slice_of(hosts), play_answered, &answer);
	play_run(play);
	assert_true(answer.came);
	assert_int_equal(answer.result.error, 0);
}

struct id_list { /* an answer first, since both have one owner */
	struct play_answer answer;
	size_t count;
	uint64_t *ids;
};

static void note_id(void *owner, const struct admin_message_view *view)
{
	struct id_list *list = owner;

	assert_true(list->count < STAGE_IDS_MAX);
	list->ids[list->count++] = view->entry->id;
}

size_t stage_ids(struct play *play, uint64_t ret_ids[STAGE_IDS_MAX])
{
	struct id_list list = {.ids = ret_ids};
	struct admin_message_filter filter = {.limit = STAGE_IDS_MAX};

	admin_queue(play->relay, &filter, note_id, play_answered, &list);
	play_run(play);
	assert_true(list.answer.came);
	return list.count;
}

static struct watched_store watched;

static void watched_walk(struct store *store, uint32_t domain, uint64_t after, size_t max,
			 store_walk_done *done, void *owner)
{
	watched.walks++;
	watched.real->walk(store, domain, after, max, done, owner);
}

static void watched_put(struct store *store, struct slice key, struct slice value, store_done *done,
			void *owner)
{
	watched.puts++;
	watched.real->put(store, key, value, done, owner);
}

static size_t watched_credit(struct store_message *message, void (*room)(void *owner), void *owner)
{
	watched.room = watched.no_credit ? room : NULL;
	watched.room_owner = owner;
	return watched.no_credit ? 0 : 65536;
}

struct watched_store *stage_watch(struct play *play)
{
	watched = (struct watched_store){.real = play->store->ops, .ops = *play->store->ops};
	watched.ops.walk = watched_walk;
	watched.ops.put = watched_put;
	watched.ops.credit = watched_credit;
	play->store->ops = &watched.ops;
	return &watched;
}
