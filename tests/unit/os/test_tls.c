/* TLS on connections, both roles in one process, with a certificate of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/address.h"
#include "peers.h"

enum { BIG = 3 * 1024 * 1024 };

struct keys {
	struct buffer certificate, key;
	char ca_file[32];
	struct tls_context *server, *client;
};

/* The client trusts the server's certificate when trust is set, nothing otherwise. */
static void keys_init(struct keys *k, const char *hostname, bool trust)
{
	char message[TLS_MESSAGE_SIZE] = "";

	*k = (struct keys){.ca_file = "/tmp/restante-test-ca-XXXXXX"};
	buffer_init(&k->certificate, 0);
	buffer_init(&k->key, 0);
	assert_int_equal(tls_make_self_signed(slice_of(hostname), &k->certificate, &k->key), 0);
	k->server = tls_server_context_new(buffer_slice(&k->certificate), buffer_slice(&k->key), message);
	assert_string_equal(message, "");
	assert_non_null(k->server);
	int descriptor = mkstemp(k->ca_file);
	assert_true(descriptor >= 0);
	struct slice pem = buffer_slice(&k->certificate);
	assert_int_equal(write(descriptor, pem.data, pem.size), (ssize_t)pem.size);
	(void)close(descriptor);
	k->client = tls_client_context_new(trust ? k->ca_file : "/nonexistent", message);
	assert_non_null(k->client);
}

static void keys_deinit(struct keys *k)
{
	(void)unlink(k->ca_file);
	buffer_deinit(&k->certificate);
	buffer_deinit(&k->key);
	tls_context_unref(k->server);
	tls_context_unref(k->client);
}

static void secure(struct world *w, const struct keys *k, const char *name)
{
	net_uv_set_tls(w->uv, k->server, k->client);
	world_connect(w);
	assert_int_equal(end_start_tls(&w->server, true, slice_of("")), 0);
	assert_int_equal(end_start_tls(&w->client, false, slice_of(name)), 0);
	world_until(w, both_secured);
}

static bool client_has_five(struct world *w)
{
	return buffer_size(&w->client.got) == 5;
}

/* --- handshakes ------------------------------------------------------------------------------ */

static void test_both_roles(void **state)
{
	static const struct {
		const char *hostname, *asked;
		bool trust, verified;
	} cases[] = {
	    {"mx.example.com", "mx.example.com", true, true},
	    {"mx.example.com", "MX.Example.COM.", true, true},
	    {"mx.example.com", "other.example.com", true, false},
	    {"mx.example.com", "mx.example.com", false, false},
	    {"mx.example.com", "", true, false},
	    {"192.0.2.1", "192.0.2.1", true, true},
	    {"192.0.2.1", "192.0.2.2", true, false},
	    {"2001:db8::1", "[2001:db8::1]", true, true},
	    {"a-name-that-is-too-long-for-a-common-name.but-fine-for-the-other-field.example.com",
	     "a-name-that-is-too-long-for-a-common-name.but-fine-for-the-other-field.example.com", true,
	     true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world w;
		struct keys k;
		keys_init(&k, cases[i].hostname, cases[i].trust);
		world_init(&w, NULL);
		w.server.echo = true;
		secure(&w, &k, cases[i].asked);
		assert_int_equal(w.client.tls.verified, cases[i].verified);
		assert_string_equal(w.client.tls.version, "TLSv1.3");
		assert_true(w.client.tls.cipher[0] != '\0');
		assert_int_equal(strlen(w.client.tls.fingerprint), 64);
		assert_string_equal(w.server.tls.fingerprint, "");
		assert_false(w.server.tls.verified);
		end_write(&w.client, SLICE("hello"));
		world_until(&w, client_has_five);
		assert_memory_equal(buffer_slice(&w.client.got).data, "hello", 5);
		end_close(&w.client, true);
		world_until(&w, server_closed);
		assert_int_equal(w.server.how, NET_END_EOF);
		world_until(&w, nothing_open);
		world_deinit(&w);
		keys_deinit(&k);
	}
}

static void test_not_ready(void **state)
{
	struct world w;
	struct keys k;

	(void)state;
	keys_init(&k, "mx.example.com", true);
	world_init(&w, NULL);
	world_connect(&w);
	assert_false(w.net->ops->tls_ready(w.net, true));
	assert_false(w.net->ops->tls_ready(w.net, false));
	assert_int_equal(end_start_tls(&w.server, true, slice_of("")), ERR_STATE);
	net_uv_set_tls(w.uv, k.server, NULL);
	assert_true(w.net->ops->tls_ready(w.net, true));
	assert_false(w.net->ops->tls_ready(w.net, false));
	assert_int_equal(end_start_tls(&w.client, false, slice_of("")), ERR_STATE);
	assert_int_equal(end_start_tls(&w.server, true, slice_of("")), 0);
	assert_int_equal(end_start_tls(&w.server, true, slice_of("")), ERR_STATE);
	world_deinit(&w);
	keys_deinit(&k);
}

/* What is written before the handshake is complete goes out behind it, and only then counts as handed over.
 */
static void test_early_writes_wait(void **state)
{
	struct world w;
	struct keys k;

	(void)state;
	keys_init(&k, "mx.example.com", true);
	world_init(&w, NULL);
	net_uv_set_tls(w.uv, k.server, k.client);
	world_connect(&w);
	assert_int_equal(end_start_tls(&w.client, false, slice_of("")), 0);
	end_write(&w.client, SLICE("hello"));
	world_turns(&w, 10);
	assert_int_equal(w.client.drained, 0);
	assert_int_equal(w.server.got.bytes[w.server.got.start], 0x16); /* a ClientHello, and no "hello" */
	assert_false(slice_contains_nocase(buffer_slice(&w.server.got), SLICE("hello")));
	end_close(&w.server, false);
	world_until(&w, client_closed);
	assert_int_equal(w.client.secured, 0);
	assert_int_equal(w.client.how, NET_END_TLS);
	world_deinit(&w);

	world_init(&w, NULL);
	w.server.echo = true;
	net_uv_set_tls(w.uv, k.server, k.client);
	world_connect(&w);
	assert_int_equal(end_start_tls(&w.client, false, slice_of("")), 0);
	assert_int_equal(end_start_tls(&w.server, true, slice_of("")), 0);
	end_write(&w.client, SLICE("hello"));
	world_until(&w, client_has_five);
	assert_int_equal(w.client.drained, 1);
	world_deinit(&w);
	keys_deinit(&k);
}

/* --- bytes ----------------------------------------------------------------------------------- */

static bool server_has_big(struct world *w)
{
	return buffer_size(&w->server.got) == BIG;
}

static void test_big_and_back_pressure(void **state)
{
	struct world w;
	struct keys k;
	char *bytes = malloc(BIG);

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < BIG; i++)
		bytes[i] = (char)(i * 7 + i / 253);
	keys_init(&k, "mx.example.com", true);
	world_init(&w, NULL);
	secure(&w, &k, "mx.example.com");
	w.server.pause_on_receive = true;
	end_write(&w.client, slice_make(bytes, BIG));
	world_turns(&w, 100);
	size_t got = buffer_size(&w.server.got);
	assert_true(got > 0 && got <= NET_UV_READ_BYTES);
	for (int i = 0; i < 5;
	     i++) { /* each time, one more piece: some of it was decrypted from what was left */
		end_pause(&w.server, false);
		world_turns(&w, 5);
		assert_true(buffer_size(&w.server.got) > got);
		got = buffer_size(&w.server.got);
	}
	w.server.pause_on_receive = false;
	end_close(&w.client, true);
	end_pause(&w.server, false);
	world_until(&w, server_closed); /* the end comes behind the last byte */
	assert_true(server_has_big(&w));
	assert_memory_equal(buffer_slice(&w.server.got).data, bytes, BIG);
	assert_int_equal(w.server.how, NET_END_EOF);
	world_deinit(&w);
	keys_deinit(&k);
	free(bytes);
}

/* --- STARTTLS and what came before it -------------------------------------------------------- */

static void test_server_drops_injected_plain_text(void **state)
{
	struct world w;
	struct keys k;

	(void)state;
	keys_init(&k, "mx.example.com", true);
	world_init(&w, NULL);
	net_uv_set_tls(w.uv, k.server, k.client);
	world_connect(&w);
	end_pause(&w.server, true); /* so that the bytes stay in the socket */
	end_write(&w.client, SLICE("RCPT TO:<evil@example.com>\r\n"));
	world_turns(&w, 10);
	assert_int_equal(end_start_tls(&w.server, true, slice_of("")), 0);
	end_pause(&w.server, false);
	assert_int_equal(end_start_tls(&w.client, false, slice_of("")), 0);
	world_until(&w, both_secured);
	end_write(&w.client, SLICE("clean"));
	end_close(&w.client, true);
	world_until(&w, server_closed);
	assert_int_equal(buffer_size(&w.server.got), 5);
	assert_memory_equal(buffer_slice(&w.server.got).data, "clean", 5);
	world_deinit(&w);
	keys_deinit(&k);
}

static void test_client_drops_injected_plain_text(void **state)
{
	struct world w;
	struct keys k;

	(void)state;
	keys_init(&k, "mx.example.com", true);
	world_init(&w, NULL);
	net_uv_set_tls(w.uv, k.server, k.client);
	world_connect(&w);
	end_pause(&w.client, true);
	end_write(&w.server, SLICE("250 injected\r\n"));
	world_turns(&w, 10);
	assert_int_equal(end_start_tls(&w.client, false, slice_of("")), 0);
	end_pause(&w.client, false);
	assert_int_equal(end_start_tls(&w.server, true, slice_of("")), 0);
	world_until(&w, both_secured);
	assert_int_equal(buffer_size(&w.client.got), 0);
	world_deinit(&w);
	keys_deinit(&k);
}

/* A ClientHello that is faster than our call is not lost. */
static void test_server_keeps_an_early_client_hello(void **state)
{
	struct world w;
	struct keys k;

	(void)state;
	keys_init(&k, "mx.example.com", true);
	world_init(&w, NULL);
	net_uv_set_tls(w.uv, k.server, k.client);
	world_connect(&w);
	end_pause(&w.server, true);
	assert_int_equal(end_start_tls(&w.client, false, slice_of("")), 0);
	world_turns(&w, 10);
	assert_int_equal(end_start_tls(&w.server, true, slice_of("")), 0);
	end_pause(&w.server, false);
	world_until(&w, both_secured);
	world_deinit(&w);
	keys_deinit(&k);
}

/* --- failures -------------------------------------------------------------------------------- */

static bool both_closed(struct world *w)
{
	return w->client.closed == 1 && w->server.closed == 1;
}

static void test_handshake_with_nonsense(void **state)
{
	struct world w;
	struct keys k;

	(void)state;
	keys_init(&k, "mx.example.com", true);
	world_init(&w, NULL);
	net_uv_set_tls(w.uv, k.server, k.client);
	world_connect(&w);
	assert_int_equal(end_start_tls(&w.server, true, slice_of("")), 0);
	world_turns(&w, 3);
	end_write(&w.client, SLICE("EHLO this is not TLS\r\n"));
	world_until(&w, both_closed);
	assert_int_equal(w.server.how, NET_END_TLS);
	assert_true(w.server.detail[0] != '\0');
	assert_int_equal(w.server.secured, 0);
	world_deinit(&w);
	keys_deinit(&k);
}

static void test_peer_leaves_during_handshake(void **state)
{
	struct world w;
	struct keys k;

	(void)state;
	keys_init(&k, "mx.example.com", true);
	world_init(&w, NULL);
	net_uv_set_tls(w.uv, k.server, k.client);
	world_connect(&w);
	assert_int_equal(end_start_tls(&w.client, false, slice_of("mx.example.com")), 0);
	w.server.pause_on_receive = false;
	end_close(&w.server, true);
	world_until(&w, client_closed);
	assert_int_equal(w.client.how, NET_END_TLS);
	assert_non_null(strstr(w.client.detail, "during the TLS handshake"));
	world_deinit(&w);
	keys_deinit(&k);
}

/* A record that was not encrypted with the key ends the session. */
static void test_bad_record(void **state)
{
	struct keys k;
	static const char record[] = "\x17\x03\x03\x00\x20"
				     "not encrypted with any key at a.";

	(void)state;
	keys_init(&k, "mx.example.com", true);
	struct tls *server = tls_new(k.server, slice_of("")), *client = tls_new(k.client, slice_of(""));
	char plain[64];
	size_t size = 0;
	assert_non_null(server);
	assert_non_null(client);
	while (!tls_established(server) || !tls_established(client)) {
		(void)tls_handshake(client);
		tls_give(server, buffer_slice(tls_output(client)));
		(void)tls_handshake(server);
		assert_int_equal(tls_settle(server), 0);
		buffer_reset(tls_output(client));
		tls_give(client, buffer_slice(tls_output(server)));
		(void)tls_handshake(client);
		assert_int_equal(tls_settle(client), 0);
		buffer_reset(tls_output(server));
	}
	assert_int_equal(tls_read(server, plain, sizeof(plain), &size), TLS_WAIT);
	tls_give(server, slice_make(record, sizeof(record) - 1));
	assert_int_equal(tls_read(server, plain, sizeof(plain), &size), TLS_FAILED);
	assert_true(tls_detail(server)[0] != '\0');
	assert_int_equal(tls_write(server, slice_of("x")), ERR_STATE);
	assert_int_equal(tls_settle(server), 0);
	tls_free(server);
	tls_free(client);
	keys_deinit(&k);
}

/* The same bytes in any pieces give the same result: whole, byte by byte, and cut in two at every place. */
static void feed_cut(const struct keys *k, size_t cut)
{
	struct tls *server = tls_new(k->server, slice_of("")), *client = tls_new(k->client, slice_of(""));
	char plain[64];
	size_t size = 0;

	assert_non_null(server);
	assert_non_null(client);
	assert_int_equal(tls_handshake(client), TLS_WAIT);
	struct slice hello = buffer_slice(tls_output(client));
	tls_give(server, slice_upto(hello, cut));
	(void)tls_handshake(server);
	assert_int_equal(tls_settle(server), 0);
	if (cut < hello.size) {
		assert_int_equal(buffer_size(tls_output(server)), 0);
		tls_give(server, slice_from(hello, cut));
		(void)tls_handshake(server);
		assert_int_equal(tls_settle(server), 0);
	}
	buffer_reset(tls_output(client));
	struct slice answer = buffer_slice(tls_output(server));
	for (size_t i = 0; i < answer.size; i++) {
		tls_give(client, slice_make(answer.data + i, 1));
		enum tls_result result = tls_handshake(client);
		assert_true(result == TLS_WAIT || result == TLS_DONE);
		assert_int_equal(tls_settle(client), 0);
	}
	assert_true(tls_established(client));
	buffer_reset(tls_output(server));
	assert_int_equal(tls_write(client, SLICE("hello")), 0);
	struct slice rest = buffer_slice(tls_output(client));
	tls_give(server, rest);
	assert_int_equal(tls_handshake(server), TLS_DONE);
	assert_int_equal(tls_settle(server), 0); /* bytes behind the handshake are kept */
	buffer_reset(tls_output(client));
	assert_int_equal(tls_read(server, plain, sizeof(plain), &size), TLS_DONE);
	assert_int_equal(size, 5);
	assert_memory_equal(plain, "hello", 5);
	tls_close(client);
	tls_give(server, buffer_slice(tls_output(client)));
	assert_int_equal(tls_read(server, plain, sizeof(plain), &size), TLS_CLOSED);
	assert_int_equal(tls_settle(server), 0);
	tls_free(server);
	tls_free(client);
}

static void test_any_pieces(void **state)
{
	struct keys k;

	(void)state;
	keys_init(&k, "mx.example.com", true);
	feed_cut(&k, 4096);
	for (size_t cut = 1; cut < 200; cut += 7)
		feed_cut(&k, cut);
	keys_deinit(&k);
}

/* --- contexts -------------------------------------------------------------------------------- */

static void test_bad_contexts(void **state)
{
	struct keys a, b;
	char message[TLS_MESSAGE_SIZE];

	(void)state;
	keys_init(&a, "a.example.com", false);
	keys_init(&b, "b.example.com", false);
	assert_null(tls_server_context_new(SLICE("nonsense"), buffer_slice(&a.key), message));
	assert_non_null(strstr(message, "certificate cannot be used"));
	assert_null(tls_server_context_new(buffer_slice(&a.certificate), SLICE(""), message));
	assert_non_null(strstr(message, "private key cannot be used"));
	assert_null(tls_server_context_new(buffer_slice(&a.certificate), buffer_slice(&b.key), message));
	assert_true(message[0] != '\0');
	keys_deinit(&a);
	keys_deinit(&b);
}

static void test_bad_host_names(void **state)
{
	struct buffer certificate, key;
	char long_name[255];

	(void)state;
	buffer_init(&certificate, 0);
	buffer_init(&key, 0);
	memset(long_name, 'a', sizeof(long_name));
	assert_int_equal(tls_make_self_signed(slice_of(""), &certificate, &key), ERR_SYNTAX);
	assert_int_equal(tls_make_self_signed(slice_of("a b"), &certificate, &key), ERR_SYNTAX);
	assert_int_equal(tls_make_self_signed(slice_of("m\xc3\xbcll"), &certificate, &key), ERR_SYNTAX);
	assert_int_equal(tls_make_self_signed(slice_make(long_name, 254), &certificate, &key), ERR_SYNTAX);
	assert_int_equal(buffer_size(&certificate) + buffer_size(&key), 0);
	assert_int_equal(tls_make_self_signed(slice_make(long_name, 253), &certificate, &key), 0);
	assert_true(buffer_size(&certificate) > 0 && buffer_size(&key) > 0);
	buffer_deinit(&certificate);
	buffer_deinit(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_roles),
	    cmocka_unit_test(test_not_ready),
	    cmocka_unit_test(test_early_writes_wait),
	    cmocka_unit_test(test_big_and_back_pressure),
	    cmocka_unit_test(test_server_drops_injected_plain_text),
	    cmocka_unit_test(test_client_drops_injected_plain_text),
	    cmocka_unit_test(test_server_keeps_an_early_client_hello),
	    cmocka_unit_test(test_handshake_with_nonsense),
	    cmocka_unit_test(test_peer_leaves_during_handshake),
	    cmocka_unit_test(test_bad_record),
	    cmocka_unit_test(test_any_pieces),
	    cmocka_unit_test(test_bad_contexts),
	    cmocka_unit_test(test_bad_host_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
