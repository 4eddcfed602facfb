#include "tnfs.h"
int main(void)
{
        return 0;
}
