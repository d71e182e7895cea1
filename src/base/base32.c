#include "base/base32.h"

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void base32_from_u64(uint64_t value, char ret_text[BASE32_U64_SIZE + 1])
{
	for (int i = BASE32_U64_SIZE - 1; i >= 0; i--) {
		ret_text[i] = digits[value & 31];
		value >>= 5;
	}
	ret_text[BASE32_U64_SIZE] = '\0';
}

static int digit_value(char c)
{
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'O')
		c = '0';
	if (c == 'I' || c == 'L')
		c = '1';
	for (int i = 0; i < 32; i++)
		if (digits[i] == c)
			return i;
	return -1;
}

int base32_to_u64(struct slice text, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (text.size != BASE32_U64_SIZE || digit_value(text.data[0]) > 15)
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.size; i++) {
		int digit = digit_value(text.data[i]);
		if (digit < 0)
			return ERR_SYNTAX;
		value = value << 5 | (uint64_t)digit;
	}
	*ret_value = value;
	return 0;
}
