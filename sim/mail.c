#include "sim/mail.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void add(struct buffer *to, struct slice bytes)
{
	check(buffer_add(to, bytes) == 0);
}

/* A line of letters, or of bytes with the high bit set here and there. */
static void add_words(struct sim_mail *mail, struct sim_world *world, size_t size)
{
	char *place = buffer_reserve(&mail->text, size);
	uint64_t bits = 0;

	check(place != NULL);
	for (size_t i = 0; i < size; i++) {
		if (i % 8 == 0)
			bits = rng_next(&world->rng);
		unsigned value = (unsigned)(bits >> (i % 8 * 8)) & 0xff;
		place[i] = (char)(mail->eight_bit && value > 250 ? 0xe4 : 'a' + value % 26);
	}
	buffer_commit(&mail->text, size);
}

static void add_line(struct sim_mail *mail, struct sim_world *world)
{
	static const struct slice odd[] = {SLICE("."),	       SLICE(".."),
					   SLICE(""),	       SLICE(".QUIT"),
					   SLICE("From here"), SLICE("Received: not the real one"),
					   SLICE("."),	       SLICE("\t. ")};

	if (sim_chance(world, mail->dotty ? 0.7 : 0.15)) {
		add(&mail->text, odd[rng_below(&world->rng, sizeof(odd) / sizeof(odd[0]))]);
	} else {
		if (sim_chance(world, mail->dotty ? 0.5 : 0.05))
			add(&mail->text, SLICE("."));
		add_words(mail, world, (size_t)sim_between(world, 1, sim_chance(world, 0.1) ? 950 : 100));
	}
	add(&mail->text, SLICE("\r\n"));
}

static void add_header(struct sim_mail *mail, struct sim_world *world)
{
	if (sim_chance(world, 0.3))
		add(&mail->text, SLICE("Received: from before (an.earlier.hop [192.0.2.99])\r\n\tby somebody;"
				       " Fri, 1 Mar 2024 00:00:00 +0000\r\n"));
	check(buffer_printf(&mail->text, "Message-ID: <%u@mail.test>\r\nSubject: ", mail->number) == 0);
	add_words(mail, world, 20);
	add(&mail->text, SLICE("\r\n\r\n"));
}

struct sim_mail *sim_mail_new(struct sim_world *world, uint32_t number, size_t size_bytes)
{
	struct sim_mail *mail = sim_alloc(sizeof(struct sim_mail));

	*mail = (struct sim_mail){
	    .number = number, .null_sender = sim_chance(world, 0.1), .eight_bit = sim_chance(world, 0.2)};
	mail->bare = size_bytes == 0;
	mail->dotty = sim_chance(world, 0.1);
	buffer_init(&mail->text, 0);
	if (mail->bare) {
		mail->null_sender = false;
		return mail;
	}
	add_header(mail, world);
	while (buffer_size(&mail->text) < size_bytes)
		add_line(mail, world);
	return mail;
}

void sim_mail_free(struct sim_mail *mail)
{
	buffer_deinit(&mail->text);
	free(mail);
}

void sim_mail_to(struct sim_mail *mail, const char *address, bool foreign)
{
	check(mail->recipient_count < SIM_MAIL_RECIPIENTS_MAX);
	struct sim_mail_recipient *r = &mail->recipients[mail->recipient_count++];
	r->foreign = foreign;
	(void)snprintf(r->address, sizeof(r->address), "%s", address);
}

bool sim_mail_over(const struct sim_mail *mail)
{
	for (uint32_t i = 0; i < mail->recipient_count; i++)
		if (!mail->recipients[i].over)
			return false;
	return true;
}

void sim_mail_text(const struct sim_mail *mail, const char *token, struct buffer *to)
{
	if (!mail->bare)
		check(buffer_printf(to, "X-Token: %s\r\n", token) == 0);
	add(to, buffer_slice(&mail->text));
	if (mail->bad_ends)
		add(to, SLICE("a bare line feed\n.\nMAIL FROM:<smuggled@evil.example>\r\n"));
}
