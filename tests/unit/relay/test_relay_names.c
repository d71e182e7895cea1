/* Names that change, go, or cannot be looked up, while mail is under way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "stage.h"

static const int64_t hour_ms = 3600 * 1000;

static void set_address(struct play *play, const char *text)
{
	play->address.status = RESOLVER_OK;
	play->address.address_count = 1;
	assert_int_equal(net_address_parse(slice_of(text), 0, &play->address.address[0]), 0);
}

static void no_address(struct play *play, enum resolver_status status)
{
	play->address.status = status;
	play->address.address_count = 0;
}

static struct play *play_with_server(void)
{
	struct play *play = play_new();

	play_add_domain(play, "example.com", "mail.example.com");
	return play;
}

/* One message comes, and goes to the server of this address. */
static void goes_to(struct play *play, const char *address)
{
	char text[NET_ADDRESS_TEXT_SIZE];

	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	struct peer *call = play_dialled(play);
	assert_non_null(call);
	assert_string_equal(net_address_text(&call->to, text), address);
	struct peer *server = play_server(play, "PIPELINING");
	play_say(play, server, "250 ok\r\n250 ok\r\n354 go\r\n");
	play_say(play, server, "250 taken\r\n");
	if (server->open)
		play_end(play, server, NET_END_EOF);
	assert_int_equal(play_totals(play).queued, 0);
}

static void stays(struct play *play)
{
	uint64_t before = play_totals(play).queued;

	assert_memory_equal(play_mail(play, "a@s.example", "b@example.com", "\r\nx"), "250", 3);
	assert_null(play_dialled(play));
	assert_int_equal(play_totals(play).queued, before + 1);
}

/* SERVFAIL, or our own resolver is dead: the last good address serves for two days. */
static void the_last_good_address_serves_for_two_days(void **state)
{
	struct play *play = play_with_server();

	goes_to(play, "192.0.2.25:25");
	no_address(play, RESOLVER_FAILED);
	play_pass(play, hour_ms);
	goes_to(play, "192.0.2.25:25");
	play_pass(play, 46 * hour_ms);
	goes_to(play, "192.0.2.25:25");
	play_pass(play, 2 * hour_ms);
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx"); /* has the name looked up */
	play_pass(play, 60 * 1000);
	if (play_dialled(play) != NULL)
		play_end(play, play_dialled(play), NET_END_REFUSED);
	play_pass(play, 60 * 1000);
	stays(play);

	set_address(play, "192.0.2.26");
	play_pass(play, 60 * 1000);
	char text[NET_ADDRESS_TEXT_SIZE];
	assert_non_null(play_dialled(play));
	assert_string_equal(net_address_text(&play_dialled(play)->to, text), "192.0.2.26:25");
	play_free(play);
}

/* The name servers say that there is none: its old address may be somebody else's by now. */
static void a_denied_name_is_not_used(void **state)
{
	static const enum resolver_status denials[] = {RESOLVER_NXDOMAIN, RESOLVER_NODATA};

	for (size_t i = 0; i < sizeof(denials) / sizeof(denials[0]); i++) {
		struct play *play = play_with_server();
		goes_to(play, "192.0.2.25:25");
		no_address(play, denials[i]);
		play_pass(play, 6 * 60 * 1000); /* the answer has lived its time */
		stays(play);
		play_pass(play, 60 * 1000);
		stays(play);
		set_address(play, "192.0.2.25");
		play_pass(play, 60 * 1000);
		assert_non_null(play_dialled(play));
		play_free(play);
	}
}

/* Within the time that the answer lives, and 30 s at least. */
static void a_new_address_is_followed(void **state)
{
	struct play *play = play_with_server();

	goes_to(play, "192.0.2.25:25");
	set_address(play, "192.0.2.26");
	play_pass(play, 301 * 1000);
	goes_to(play, "192.0.2.26:25");
	play->address.ttl_s = 1;
	set_address(play, "192.0.2.27");
	play_pass(play, 301 * 1000);
	goes_to(play, "192.0.2.27:25");
	set_address(play, "192.0.2.28");
	play_pass(play, 31 * 1000);
	goes_to(play, "192.0.2.28:25");
	play_free(play);
}

/* A resolver that says nothing costs one message a moment, the next ones nothing. */
static void a_silent_resolver_delays_by_a_moment(void **state)
{
	struct play *play = play_with_server();

	goes_to(play, "192.0.2.25:25");
	play_pass(play, hour_ms);
	play->names_silent = true;
	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	assert_null(play_dialled(play));
	play_pass(play, 4000);
	assert_null(play_dialled(play));
	play_pass(play, 3000);
	assert_non_null(play_dialled(play));
	play_free(play);
}

static void a_server_may_have_an_ipv6_address_only(void **state)
{
	struct play *play = play_with_server();

	set_address(play, "2001:db8::25");
	goes_to(play, "[2001:db8::25]:25");
	play_free(play);
}

/* It is held while the server is away, and found where its name leads by then. */
static void held_mail_follows_a_new_address(void **state)
{
	struct play *play = play_with_server();
	char text[NET_ADDRESS_TEXT_SIZE];

	(void)play_mail(play, "a@s.example", "b@example.com", "\r\nx");
	for (int i = 0; i < 40; i++) {
		if (play_dialled(play) != NULL)
			play_end(play, play_dialled(play), NET_END_UNREACHABLE);
		play_pass(play, 15 * 1000);
	}
	set_address(play, "192.0.2.99");
	for (int i = 0;
	     i < 30 && !(play_dialled(play) != NULL &&
			 strcmp(net_address_text(&play_dialled(play)->to, text), "192.0.2.99:25") == 0);
	     i++) {
		if (play_dialled(play) != NULL)
			play_end(play, play_dialled(play), NET_END_UNREACHABLE);
		play_pass(play, 15 * 1000);
	}
	struct peer *server = play_server(play, "PIPELINING");
	assert_string_equal(net_address_text(&server->to, text), "192.0.2.99:25");
	assert_non_null(strstr(play_read(server), "b@example.com"));
	play_free(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_last_good_address_serves_for_two_days),
	    cmocka_unit_test(a_denied_name_is_not_used),
	    cmocka_unit_test(a_new_address_is_followed),
	    cmocka_unit_test(a_silent_resolver_delays_by_a_moment),
	    cmocka_unit_test(a_server_may_have_an_ipv6_address_only),
	    cmocka_unit_test(held_mail_follows_a_new_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
