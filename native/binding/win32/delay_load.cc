// Node's own functions are imported from "node.exe" when first called; this finds them also in an executable
// of another name, or in node.dll. (For Microsoft's compiler cmake-js brings one of its own.)
#ifdef __MINGW32__
#include <windows.h>
// After windows.h.
#include <delayimp.h>

#include <cstring>

static FARPROC WINAPI find_node(unsigned event, PDelayLoadInfo info) {
  if (event != dliNotePreLoadLibrary || _stricmp(info->szDll, "node.exe") != 0) return nullptr;
  HMODULE node = GetModuleHandleA("node.dll");
  if (node == nullptr) node = GetModuleHandleA(nullptr);
  return reinterpret_cast<FARPROC>(node);
}

extern "C" {
PfnDliHook __pfnDliNotifyHook2 = find_node;
}
#endif
