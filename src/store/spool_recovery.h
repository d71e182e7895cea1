/* Reading the log again at the start: what recovery shares between its files. Internal to spool_recover.c,
 * spool_scan.c and spool_damage.c.
 */
#ifndef STORE_SPOOL_RECOVERY_H
#define STORE_SPOOL_RECOVERY_H

#include "store/spool_internal.h"

enum {
	WINDOW_BYTES = 2 * (RECORD_PAYLOAD_MAX + 4096),
	DAMAGES_MAX = 1024, /* remembered for their report; more are counted */
};

struct damage {
	uint64_t segment;
	uint32_t from, to;
	uint64_t id;  /* of a message that is not whole because of another damage; 0: a piece of the log */
	bool claimed; /* such a piece, of a message that is reported itself */
	bool torn;    /* another life of the process ended in it */
	/* The group commit it belongs to: when a later one follows, it was acknowledged. */
	struct position batch; /* segment UINT64_MAX: the last one of its segment, it seems */
};

struct recovery {
	struct spool *spool;
	char *message;
	uint64_t *segments;
	size_t segment_count, segment_capacity;
	int error;
	struct damage *damages;
	size_t damage_count;
	struct position from; /* what the index holds ends here */
	struct position last_batch;
	/* of the segment being read: */
	int file;
	uint64_t number;
	uint64_t limit; /* where it ended, as the next segment tells; UINT64_MAX: not known */
	char *window;
	uint64_t window_at; /* offset in the file */
	size_t window_size;
};

/* --- spool_scan.c --- */
/* Reads a segment from this offset on, applies what is valid, notes what is damaged. */
nodiscard int recovery_read_segment(struct recovery *r, uint64_t number, uint64_t offset);
/* Makes an honest sync of what was read last. ERR_IO. */
nodiscard int recovery_settle(struct recovery *r);

/* --- spool_damage.c --- */
void recovery_note_damage(struct recovery *r, uint64_t segment, uint32_t from, uint32_t to, uint64_t id,
			  struct position batch);
/* Damage between these two was durable, as part of this group commit. False: none was noted. */
bool recovery_confirm(struct recovery *r, uint64_t segment, uint32_t from, uint32_t to,
		      struct position batch);
/* All that was noted at the ends of segments before this one was durable: the process lived on. */
void recovery_confirm_before(struct recovery *r, uint64_t segment);
/* Damage in this group commit was not, nor what was noted at the end of a segment: the process died in it. */
void recovery_confirm_torn(struct recovery *r, struct position batch);
bool recovery_damaged(struct recovery *r, const struct extent *extent); /* a noted piece lies in it */
/* At the end, when it is known what was last. ERR_MEMORY, ERR_IO. */
nodiscard int recovery_report(struct recovery *r);

#endif
