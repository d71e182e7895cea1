/* What happens to a customer's server in a story. */
#include "sim/story_private.h"

#include <string.h>

static bool set_reach(struct sim_server *server, const char *how)
{
	static const struct {
		const char *word;
		enum sim_reach reach;
	} ways[] = {{"refused", SIM_REACH_REFUSED},
		    {"black-hole", SIM_REACH_BLACK_HOLE},
		    {"unreachable", SIM_REACH_UNREACHABLE}};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(how, ways[i].word) != 0)
			continue;
		sim_host_reach(server->host, ways[i].reach);
		return true;
	}
	return false;
}

static bool set_state(struct sim_server *server, const char *how)
{
	static const struct {
		const char *word;
		void (*act)(struct sim_server *server);
	} acts[] = {{"up", sim_server_start},
		    {"healthy", sim_server_healthy},
		    {"killed", sim_server_kill},
		    {"power-cut", sim_server_power_cut}};

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (strcmp(how, acts[i].word) != 0)
			continue;
		acts[i].act(server);
		return true;
	}
	return set_reach(server, how);
}

static bool set_feature(struct sim_server *server, const char *name)
{
	const struct {
		const char *word;
		bool *feature;
	} features[] = {{"pipelining", &server->features.pipelining},
			{"chunking", &server->features.chunking},
			{"8bitmime", &server->features.eight_bit},
			{"size", &server->features.size},
			{"esmtp", &server->features.esmtp}};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (strcmp(name, features[i].word) != 0)
			continue;
		*features[i].feature = false;
		return true;
	}
	return false;
}

/* SERVER STAGE WHAT CHANCE */
static bool set_stage(struct story *story, struct sim_mood *mood)
{
	static const char *const stages[SIM_STAGES] = {"banner", "ehlo", "tls",	 "mail",
						       "rcpt",	 "data", "body", "dot"};
	const struct {
		const char *word;
		double *chances;
	} whats[] = {{"closes", mood->closes},
		     {"busy", mood->busy},
		     {"temporary", mood->temporary},
		     {"permanent", mood->permanent},
		     {"hangs", mood->hangs}};

	for (size_t stage = 0; stage < SIM_STAGES; stage++)
		for (size_t i = 0; i < sizeof(whats) / sizeof(whats[0]); i++)
			if (story_is(story, 1, stages[stage]) && story_is(story, 2, whats[i].word))
				return story_chance(story, 3, &whats[i].chances[stage]);
	return false;
}

static bool set_mood(struct story *story, struct sim_mood *mood)
{
	uint64_t number;

	if (story_is(story, 1, "refuses-all")) {
		mood->refuses_all = true;
		return true;
	}
	if (story_is(story, 1, "refuses-whole")) {
		mood->refuses_whole = true;
		return true;
	}
	if (story_is(story, 1, "loses-reply"))
		return story_chance(story, 2, &mood->loses_reply);
	if (story_is(story, 1, "replies-late"))
		return story_chance(story, 2, &mood->replies_late);
	if (story_is(story, 1, "delay")) {
		mood->delay_low_us = 0;
		return story_time(story, 2, &mood->delay_high_us);
	}
	if (!story_number(story, 2, &number))
		return set_stage(story, mood);
	if (story_is(story, 1, "limit"))
		mood->connection_limit = (uint32_t)number;
	else if (story_is(story, 1, "refuses-one-in"))
		mood->refuses_one_in = (uint32_t)number;
	else
		return false;
	return true;
}

bool story_server(struct story *story, struct sim_server *server)
{
	if (story->count == 2 && set_state(server, story_word(story, 1)))
		return true;
	if (story_is(story, 1, "without"))
		return set_feature(server, story_word(story, 2));
	return set_mood(story, &server->mood);
}
