#include "store/percent.h"

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

bool percent_decode(char *text)
{
        char *out = text;

        while (*text) {
                int high, low;

                if (*text != '%') {
                        *out++ = *text++;
                        continue;
                }
                high = hex_digit(text[1]);
                low = high < 0 ? -1 : hex_digit(text[2]);
                if (low < 0 || (high == 0 && low == 0))
                        return false;
                *out++ = (char)(high << 4 | low);
                text += 3;
        }
        *out = '\0';
        return true;
}
