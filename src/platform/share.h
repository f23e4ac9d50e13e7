/* platform/share.h: the folder share/platform that belongs to this program: build, packs/, stack-build, stack.txt. */
#pragma once
#include "base/base.h"
/* UPDRAFT_SHARE_PATH, else beside the program (../../share/platform, ../share/updraft/platform). E_NOT_FOUND says where it was looked for. malloc'd */
int share_folder(char **ret, struct err *err);
