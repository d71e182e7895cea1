/* One session of a sender; between sender.c (mails, retries) and sender_session.c (the dialogue). */
#ifndef SIM_SENDER_SESSION_H
#define SIM_SENDER_SESSION_H

#include "sim/sender.h"

void sender_session_start(struct sim_sender *sender);
void sender_session_drop(struct list *node); /* the world ends */

/* The next mail that is ready, or NULL. */
struct sim_mail *sender_take(struct sim_sender *sender);
/* The session is done with this mail for now. */
void sender_give_back(struct sim_sender *sender, struct sim_mail *mail);
void sender_session_over(struct sim_sender *sender);

#endif
