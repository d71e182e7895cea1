/* A session of the server machine with an owner who answers by rule, and a record of all that was said and
 * done.
 *
 * Rules: a local part that begins with "no" gets 550, "later" 450, "bye" 421; everybody else 250. The same
 * for the sender. Of a message to or from "nodata" BEGIN is refused with 452; COMMIT is answered "250 2.0.0
 * kept", from "failcommit" with 451, from "byecommit" with 421.
 */
#ifndef TEST_SERVER_PLAY_H
#define TEST_SERVER_PLAY_H

#include "base/buffer.h"
#include "proto/smtp_server.h"

struct play {
	struct smtp_server *server;
	struct smtp_server_config config;
	int64_t now_us;
	struct buffer wire; /* what the client was sent */
	struct buffer log;  /* what the owner was asked and told, one line each; see server_play.c */
	bool unsent;	    /* leave the output where it is */
	bool hold;	    /* leave questions open, for play_answer */
	bool in_body;
	bool closed;
	bool no_memory;		       /* smtp_server_new failed */
	enum smtp_server_action asked; /* the question that is held */
};

/* With all extensions offered; change play->config, then play_start. */
void play_init(struct play *play);
void play_start(struct play *play);
void play_deinit(struct play *play);

void play_feed(struct play *play, struct slice bytes); /* as one arrival */
void play_run(struct play *play, struct slice *input); /* the same, without a copy; the rest stays in input */
void play_text(struct play *play, const char *text);
void play_wait(struct play *play, int64_t ms); /* time passes, then step without input */
void play_answer(struct play *play, uint16_t code, const char *status, const char *text);
void play_gone(struct play *play);
void play_step(struct play *play); /* without input */

/* The wire or the log so far is exactly this; then it is emptied. Stops the test if not. */
void play_expect(struct play *play, const char *wire);
void play_expect_log(struct play *play, const char *log);
/* The wire begins with / contains this; then it is emptied. */
void play_expect_start(struct play *play, const char *wire);
void play_forget(struct play *play); /* empties both */

/* Whole session: the bytes cut after each of cuts[] (ascending offsets; NULL: one byte at a time). */
void play_session(struct play *play, struct slice bytes, const size_t *cuts, size_t cut_count);

#endif
