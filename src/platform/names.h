/* platform/names: names that are made up */
#pragma once
void addon_name_made_up(const char *service, char ret[64]);    /* "postgresql-cubed-12345" */
