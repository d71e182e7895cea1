#include "relay/door_memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"

struct place {
	uint64_t recipient;
	int64_t until_us;
	enum door_word word;
};

struct client {
	uint64_t network;
	int64_t used_us;
	struct quota refusals;
};

struct door_memory {
	struct place recipients[DOOR_MEMORY_RECIPIENTS];
	struct client clients[DOOR_MEMORY_CLIENTS];
};

struct door_memory *door_memory_new(void)
{
	return calloc(1, sizeof(struct door_memory));
}

void door_memory_free(struct door_memory *memory)
{
	free(memory);
}

static size_t first_way(uint64_t hash, size_t count)
{
	return (size_t)hash & (count - DOOR_MEMORY_WAYS);
}

enum door_word door_recall(const struct door_memory *memory, uint64_t recipient, int64_t now_us)
{
	const struct place *at = &memory->recipients[first_way(recipient, DOOR_MEMORY_RECIPIENTS)];

	for (int i = 0; i < DOOR_MEMORY_WAYS; i++)
		if (at[i].recipient == recipient && at[i].until_us > now_us)
			return at[i].word;
	return DOOR_NOTHING;
}

static int64_t lasts_us(enum door_word word)
{
	return CLOCK_MS(word == DOOR_REFUSED ? DOOR_REFUSED_MS
			: word == DOOR_HELD  ? DOOR_HELD_MS
					     : DOOR_KNOWN_MS);
}

/* Its own place, else the one that is over first: those who are known stay longest. */
void door_note(struct door_memory *memory, uint64_t recipient, enum door_word word, int64_t now_us)
{
	struct place *at = &memory->recipients[first_way(recipient, DOOR_MEMORY_RECIPIENTS)];
	struct place *best = at;

	for (int i = 0; i < DOOR_MEMORY_WAYS; i++) {
		if (at[i].recipient == recipient) {
			best = &at[i];
			break;
		}
		if (at[i].until_us < best->until_us)
			best = &at[i];
	}
	*best = (struct place){.recipient = recipient, .until_us = now_us + lasts_us(word), .word = word};
}

void door_forget(struct door_memory *memory, uint64_t recipient)
{
	struct place *at = &memory->recipients[first_way(recipient, DOOR_MEMORY_RECIPIENTS)];

	for (int i = 0; i < DOOR_MEMORY_WAYS; i++)
		if (at[i].recipient == recipient)
			at[i] = (struct place){.word = DOOR_NOTHING};
}

struct quota *door_client(struct door_memory *memory, const struct net_address *peer, uint64_t seed,
			  int64_t now_us)
{
	uint64_t network = map_hash(slice_make(peer->bytes, peer->family == 4 ? 3 : 8), seed) | 1;
	struct client *at = &memory->clients[first_way(network, DOOR_MEMORY_CLIENTS)];
	struct client *best = at;

	for (int i = 0; i < DOOR_MEMORY_WAYS; i++) {
		if (at[i].network == network) {
			at[i].used_us = now_us;
			return &at[i].refusals;
		}
		if (at[i].used_us < best->used_us || at[i].network == 0)
			best = &at[i];
	}
	*best = (struct client){.network = network, .used_us = now_us};
	return &best->refusals;
}
