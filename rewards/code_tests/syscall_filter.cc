#include "syscall_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = 0;
#endif

constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kNamespaceFlags =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

const std::vector<uint32_t> kRefused = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_unshare,
    SYS_setns,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_syslog,
    SYS_personality,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_vhangup,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_fanotify_init,
    SYS_pidfd_getfd,
#if defined(__x86_64__)
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_uselib,
#endif
};

class Filter {
 public:
  void add(uint16_t code, uint32_t k, uint8_t if_true = 0, uint8_t if_false = 0) {
    code_.push_back(sock_filter{code, if_true, if_false, k});
  }
  void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void answer(uint32_t action) { add(BPF_RET | BPF_K, action); }
  void refuse(int error) { answer(SECCOMP_RET_ERRNO | (static_cast<uint32_t>(error) & SECCOMP_RET_DATA)); }

  // If the loaded value is `k`, the next instruction counts, else it is passed over.
  void when(uint32_t k) { add(BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1); }

  std::string bytes() const {
    return {reinterpret_cast<const char*>(code_.data()), code_.size() * sizeof(sock_filter)};
  }

 private:
  std::vector<sock_filter> code_;
};

// The low half of an argument; both processors are little-endian.
size_t argument(size_t index) { return offsetof(seccomp_data, args) + index * sizeof(uint64_t); }

void check_arguments(Filter& filter) {
  // clone(flags): 4 instructions for that number.
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
  filter.load(argument(0));
  filter.add(BPF_JMP | BPF_JSET | BPF_K, kNamespaceFlags, 0, 1);
  filter.refuse(EPERM);
  filter.answer(SECCOMP_RET_ALLOW);
  // socket(family): 6.
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 6);
  filter.load(argument(0));
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 3, 0);
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0);
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0);
  filter.refuse(EAFNOSUPPORT);
  filter.answer(SECCOMP_RET_ALLOW);
  // ioctl(fd, request): 5.
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 5);
  filter.load(argument(1));
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 1, 0);
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, TIOCLINUX, 0, 1);
  filter.refuse(EPERM);
  filter.answer(SECCOMP_RET_ALLOW);
}

}  // namespace

std::string syscall_filter() {
  if (kArchitecture == 0) return "";
  Filter filter;
  filter.load(offsetof(seccomp_data, arch));
  filter.add(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
  filter.answer(SECCOMP_RET_KILL_PROCESS);
  filter.load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  filter.add(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1);
  filter.refuse(EPERM);
#endif
  // Its flags lie behind a pointer: without it the C library takes clone.
  filter.when(SYS_clone3);
  filter.refuse(ENOSYS);
  for (const uint32_t number : kRefused) {
    filter.when(number);
    filter.refuse(EPERM);
  }
  check_arguments(filter);
  filter.answer(SECCOMP_RET_ALLOW);
  return filter.bytes();
}
