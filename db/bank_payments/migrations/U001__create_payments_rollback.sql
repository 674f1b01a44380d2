DROP TABLE payments.payment_status_changes;
DROP TABLE payments.payments;
