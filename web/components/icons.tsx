import type { ReactNode } from 'react';

/** All icons are decoration beside words or a label, so they are hidden from assistive technology. */
function Icon({ children }: { children: ReactNode }) {
  return (
    <svg
      viewBox="0 0 20 20"
      width="1.125em"
      height="1.125em"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

export const ArrowUpIcon = () => (
  <Icon>
    <path d="M10 16V4M4.8 9.2 10 4l5.2 5.2" />
  </Icon>
);

export const ArrowDownIcon = () => (
  <Icon>
    <path d="M10 4v12M4.8 10.8 10 16l5.2-5.2" />
  </Icon>
);

export const StopIcon = () => (
  <Icon>
    <rect x="5.5" y="5.5" width="9" height="9" rx="1.5" fill="currentColor" />
  </Icon>
);

export const ChevronIcon = () => (
  <Icon>
    <path d="m7.5 5 5 5-5 5" />
  </Icon>
);

export const CopyIcon = () => (
  <Icon>
    <rect x="7" y="7" width="9" height="9" rx="2" />
    <path d="M13 4.5A1.5 1.5 0 0 0 11.5 3H5a2 2 0 0 0-2 2v6.500A1.5 1.5 0 0 0 4.5 13" />
  </Icon>
);

export const CheckIcon = () => (
  <Icon>
    <path d="m4 10.5 4 4 8-9" />
  </Icon>
);

export const RetryIcon = () => (
  <Icon>
    <path d="M16 10a6 6 0 1 1-1.8-4.300M16 3v3.500h-3.5" />
  </Icon>
);

export const PlusIcon = () => (
  <Icon>
    <path d="M10 4v12M4 10h12" />
  </Icon>
);

export const AlertIcon = () => (
  <Icon>
    <path d="M10 6v4.500M10 13.800v.1" />
    <circle cx="10" cy="10" r="7" />
  </Icon>
);

export const InfoIcon = () => (
  <Icon>
    <path d="M10 9.500V14M10 6.200v.1" />
    <circle cx="10" cy="10" r="7" />
  </Icon>
);

export const ToolIcon = () => (
  <Icon>
    <path d="M12.8 3.500a4 4 0 0 0-4.6 5.400L3.5 13.600a2 2 0 0 0 2.9 2.900l4.7-4.700a4 4 0 0 0 5.4-4.600l-2.5 2.5-2.6-.7-.7-2.600z" />
  </Icon>
);

export const ThoughtIcon = () => (
  <Icon>
    <path d="M10 2.500v15M2.5 10h15M4.7 4.700l10.6 10.600M15.3 4.7 4.7 15.3" />
  </Icon>
);

export const FileIcon = () => (
  <Icon>
    <path d="M11.5 2.500H6a2 2 0 0 0-2 2v11a2 2 0 0 0 2 2h8a2 2 0 0 0 2-2V7z" />
    <path d="M11.5 2.500V7H16" />
  </Icon>
);

export const DataIcon = () => (
  <Icon>
    <path d="M7 3.500c-2 0-2.5 1-2.5 2.500v1.500c0 1.5-.5 2.5-2 2.5 1.5 0 2 1 2 2.500V14c0 1.5.5 2.5 2.5 2.500M13 3.500c2 0 2.5 1 2.5 2.500v1.500c0 1.5.5 2.5 2 2.5-1.5 0-2 1-2 2.500V14c0 1.5-.5 2.5-2.5 2.5" />
  </Icon>
);

export const LinkIcon = () => (
  <Icon>
    <path d="M8.5 5.500H5a1.5 1.5 0 0 0-1.5 1.500v8A1.5 1.5 0 0 0 5 16.500h8a1.5 1.5 0 0 0 1.5-1.500v-3.500M11.5 3.500h5v5M16 4l-7 7" />
  </Icon>
);

export const SidebarIcon = () => (
  <Icon>
    <rect x="3" y="4" width="14" height="12" rx="2.5" />
    <path d="M8 4v12" />
  </Icon>
);

export const NewChatIcon = () => (
  <Icon>
    <path d="M10.5 4H6a2.500 2.500 0 0 0-2.500 2.500V14A2.500 2.500 0 0 0 6 16.500h7.500A2.500 2.500 0 0 0 16 14V9.500" />
    <path d="m8.500 11.500.5-2.200 6-6a1.150 1.150 0 0 1 1.700 1.700l-6 6z" />
  </Icon>
);

export const SearchIcon = () => (
  <Icon>
    <circle cx="9" cy="9" r="5.500" />
    <path d="m13 13 4 4" />
  </Icon>
);

export const MoreIcon = () => (
  <Icon>
    <path d="M5 10h.01M10 10h.01M15 10h.01" strokeWidth="2.600" />
  </Icon>
);

export const PencilIcon = () => (
  <Icon>
    <path d="m4 16 .8-3.500L13.300 4a1.800 1.800 0 0 1 2.700 2.700l-8.500 8.500z" />
  </Icon>
);

export const TrashIcon = () => (
  <Icon>
    <path d="M3.500 5.500h13M8 5.500V4a1 1 0 0 1 1-1h2a1 1 0 0 1 1 1v1.500M5.500 5.500l.7 10a1.500 1.500 0 0 0 1.500 1.500h4.600a1.500 1.500 0 0 0 1.500-1.500l.7-10" />
  </Icon>
);

export const PaperclipIcon = () => (
  <Icon>
    <path d="m16 9.500-6 6a3.700 3.700 0 0 1-5.300-5.300l6.200-6.200a2.500 2.500 0 0 1 3.500 3.500l-6 6a1.200 1.200 0 0 1-1.700-1.700l5.500-5.500" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="m5 5 10 10M15 5 5 15" />
  </Icon>
);

export const SunIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="3.200" />
    <path d="M10 2.500V4M10 16v1.500M2.500 10H4M16 10h1.500M4.700 4.700l1 1M14.300 14.300l1 1M4.700 15.300l1-1M14.300 5.700l1-1" />
  </Icon>
);

export const MoonIcon = () => (
  <Icon>
    <path d="M16.500 11.700A6.800 6.800 0 0 1 8.300 3.500a6.800 6.800 0 1 0 8.200 8.200z" />
  </Icon>
);

export const ScreenIcon = () => (
  <Icon>
    <rect x="3" y="4" width="14" height="9.500" rx="1.500" />
    <path d="M7.500 16.500h5" />
  </Icon>
);

export const KeyboardIcon = () => (
  <Icon>
    <rect x="2.500" y="5" width="15" height="10" rx="2" />
    <path d="M6 8.300h.01M9 8.300h.01M12 8.300h.01M14.500 8.300h.01M7 11.800h6" />
  </Icon>
);

export const SignOutIcon = () => (
  <Icon>
    <path d="M8 3.500H5.500A1.500 1.500 0 0 0 4 5v10a1.500 1.500 0 0 0 1.500 1.500H8M12.500 13.500 16 10l-3.500-3.500M16 10H8" />
  </Icon>
);
