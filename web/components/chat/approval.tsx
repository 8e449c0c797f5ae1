import styles from './approval.module.css';

type ApprovalProps = {
  toolName: string;
  /** Why the server asks, where it says so. */
  reason: string | undefined;
  onDecide: (isApproved: boolean) => void;
};

/** The model wants to run a tool that needs the visitor's word. */
export function Approval({ toolName, reason, onDecide }: ApprovalProps) {
  return (
    <div className={styles.approval}>
      <p>{reason ?? `May ${toolName} run with this input?`}</p>
      <div className={styles.buttons}>
        <button
          type="button"
          className="button button-primary"
          onClick={() => onDecide(true)}
          data-testid="approve"
        >
          Approve
        </button>
        <button type="button" className="button" onClick={() => onDecide(false)} data-testid="deny">
          Deny
        </button>
      </div>
    </div>
  );
}
