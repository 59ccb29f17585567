"""The first schema."""

import sqlalchemy as sa
from alembic import op

from secops.db import append_only_ddl

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ['audit', 'alert_events', 'ticket_events', 'ca_certificates', 'ca_crls', 'ca_events', 'ca_revocations', 'ca_signed']


def upgrade() -> None:
    op.create_table('alerts',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('tenant', sa.String(length=100), nullable=False),
    sa.Column('rule_id', sa.String(length=200), nullable=False),
    sa.Column('title', sa.String(length=500), nullable=False),
    sa.Column('title_zh', sa.String(length=500), nullable=False),
    sa.Column('level', sa.String(length=20), nullable=False),
    sa.Column('status', sa.String(length=20), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('first_seen', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_seen', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('count', sa.BigInteger(), nullable=False),
    sa.Column('group_values', sa.JSON(), nullable=False),
    sa.Column('event_ids', sa.JSON(), nullable=False),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.Column('clauses', sa.JSON(), nullable=False),
    sa.Column('runbook', sa.String(length=200), nullable=False),
    sa.Column('service', sa.String(length=100), nullable=False),
    sa.Column('disposition', sa.String(length=30), nullable=False),
    sa.Column('resolution', sa.String(length=1000), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alerts')),
    sqlite_autoincrement=True
    )
    op.create_index('ix_alerts_fingerprint_last_seen', 'alerts', ['fingerprint', 'last_seen'], unique=False)
    op.create_index(op.f('ix_alerts_rule_id'), 'alerts', ['rule_id'], unique=False)
    op.create_index('ix_alerts_status_level', 'alerts', ['status', 'level'], unique=False)
    op.create_index('ix_alerts_tenant_id', 'alerts', ['tenant', 'id'], unique=False)
    op.create_table('audit',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.String(length=200), nullable=False),
    sa.Column('action', sa.String(length=100), nullable=False),
    sa.Column('outcome', sa.String(length=10), nullable=False),
    sa.Column('target', sa.String(length=500), nullable=False),
    sa.Column('tenant', sa.String(length=100), nullable=False),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('source_ip', sa.String(length=64), nullable=False),
    sa.Column('detail', sa.JSON(), nullable=False),
    sa.Column('previous', sa.String(length=64), nullable=False),
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit')),
    info={'append_only': True},
    sqlite_autoincrement=True
    )
    op.create_index(op.f('ix_audit_action'), 'audit', ['action'], unique=False)
    op.create_index(op.f('ix_audit_target'), 'audit', ['target'], unique=False)
    op.create_table('consumer_state',
    sa.Column('consumer', sa.String(length=50), nullable=False),
    sa.Column('key', sa.String(length=700), nullable=False),
    sa.Column('value', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('consumer', 'key', name=op.f('pk_consumer_state'))
    )
    op.create_table('log_cursors',
    sa.Column('consumer', sa.String(length=50), nullable=False),
    sa.Column('partition', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('next_offset', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('consumer', 'partition', name=op.f('pk_log_cursors'))
    )
    op.create_table('outbox',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.String(length=50), nullable=False),
    sa.Column('body', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('done_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('dead_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('error', sa.String(length=1000), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox'))
    )
    op.create_index('ix_outbox_due', 'outbox', ['done_at', 'dead_at', 'due_at'], unique=False)
    op.create_table('source_tokens',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('tenant', sa.String(length=100), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('token_sha256', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.String(length=200), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_source_tokens')),
    sa.UniqueConstraint('token_sha256', name=op.f('uq_source_tokens_token_sha256'))
    )
    op.create_table('tickets',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('tenant', sa.String(length=100), nullable=False),
    sa.Column('title', sa.String(length=500), nullable=False),
    sa.Column('service', sa.String(length=100), nullable=False),
    sa.Column('priority', sa.SmallInteger(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('assignee', sa.String(length=100), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('alert_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tickets')),
    sa.UniqueConstraint('alert_id', name=op.f('uq_tickets_alert_id')),
    sqlite_autoincrement=True
    )
    op.create_index('ix_tickets_assignee_state', 'tickets', ['assignee', 'state'], unique=False)
    op.create_index('ix_tickets_state_priority', 'tickets', ['state', 'priority'], unique=False)
    op.create_index('ix_tickets_tenant_id', 'tickets', ['tenant', 'id'], unique=False)
    op.create_table('alert_events',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('alert_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('actor', sa.String(length=200), nullable=False),
    sa.Column('count', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.String(length=1000), nullable=False),
    sa.Column('data', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['alert_id'], ['alerts.id'], name=op.f('fk_alert_events_alert_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alert_events')),
    info={'append_only': True},
    sqlite_autoincrement=True
    )
    op.create_index('ix_alert_events_alert_id_id', 'alert_events', ['alert_id', 'id'], unique=False)
    op.create_table('ticket_events',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('ticket_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('actor', sa.String(length=200), nullable=False),
    sa.Column('data', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['ticket_id'], ['tickets.id'], name=op.f('fk_ticket_events_ticket_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ticket_events')),
    info={'append_only': True},
    sqlite_autoincrement=True
    )
    op.create_index('ix_ticket_events_ticket_id_id', 'ticket_events', ['ticket_id', 'id'], unique=False)
    op.create_table('identity_links',
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('account_id', sa.String(length=32), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('token_hash', name=op.f('pk_identity_links'))
    )
    op.create_index(op.f('ix_identity_links_account_id'), 'identity_links', ['account_id'], unique=False)
    op.create_table('identity_organizations',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('name_zh', sa.String(length=100), nullable=False),
    sa.Column('name_en', sa.String(length=100), nullable=False),
    sa.Column('parent_id', sa.String(length=40), nullable=True),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('path', sa.String(length=500), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['parent_id'], ['identity_organizations.id'], name=op.f('fk_identity_organizations_parent_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_organizations'))
    )
    op.create_index(op.f('ix_identity_organizations_parent_id'), 'identity_organizations', ['parent_id'], unique=False)
    op.create_index(op.f('ix_identity_organizations_path'), 'identity_organizations', ['path'], unique=False)
    op.create_table('identity_throttle',
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('scope', sa.String(length=10), nullable=False),
    sa.Column('level', sa.Double(), nullable=False),
    sa.Column('last_failure_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('refused', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_identity_throttle'))
    )
    op.create_index(op.f('ix_identity_throttle_last_failure_at'), 'identity_throttle', ['last_failure_at'], unique=False)
    op.create_table('oidc_client_sessions',
    sa.Column('session_id', sa.String(length=64), nullable=False),
    sa.Column('client_id', sa.String(length=100), nullable=False),
    sa.Column('account_id', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('session_id', 'client_id', name=op.f('pk_oidc_client_sessions'))
    )
    op.create_index(op.f('ix_oidc_client_sessions_expires_at'), 'oidc_client_sessions', ['expires_at'], unique=False)
    op.create_table('oidc_clients',
    sa.Column('client_id', sa.String(length=100), nullable=False),
    sa.Column('secret_sha256', sa.String(length=64), nullable=False),
    sa.Column('name_zh', sa.String(length=200), nullable=False),
    sa.Column('name_en', sa.String(length=200), nullable=False),
    sa.Column('redirect_uris', sa.JSON(), nullable=False),
    sa.Column('post_logout_uris', sa.JSON(), nullable=False),
    sa.Column('backchannel_logout_uri', sa.String(length=2000), nullable=False),
    sa.Column('required_acr', sa.String(length=50), nullable=False),
    sa.Column('id_token_alg', sa.String(length=10), nullable=False),
    sa.Column('refreshes', sa.Boolean(), nullable=False),
    sa.Column('introspects', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('disabled_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('client_id', name=op.f('pk_oidc_clients'))
    )
    op.create_table('oidc_codes',
    sa.Column('code_sha256', sa.String(length=64), nullable=False),
    sa.Column('client_id', sa.String(length=100), nullable=False),
    sa.Column('account_id', sa.String(length=64), nullable=False),
    sa.Column('session_id', sa.String(length=64), nullable=False),
    sa.Column('redirect_uri', sa.String(length=2000), nullable=False),
    sa.Column('scope', sa.String(length=200), nullable=False),
    sa.Column('nonce', sa.String(length=500), nullable=False),
    sa.Column('code_challenge', sa.String(length=128), nullable=False),
    sa.Column('claims', sa.JSON(), nullable=False),
    sa.Column('issued_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('session_expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('code_sha256', name=op.f('pk_oidc_codes'))
    )
    op.create_index(op.f('ix_oidc_codes_expires_at'), 'oidc_codes', ['expires_at'], unique=False)
    op.create_index(op.f('ix_oidc_codes_session_id'), 'oidc_codes', ['session_id'], unique=False)
    op.create_table('oidc_keys',
    sa.Column('kid', sa.String(length=64), nullable=False),
    sa.Column('algorithm', sa.String(length=10), nullable=False),
    sa.Column('public_jwk', sa.JSON(), nullable=False),
    sa.Column('sealed_private', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('active_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('kid', name=op.f('pk_oidc_keys'))
    )
    op.create_index(op.f('ix_oidc_keys_algorithm'), 'oidc_keys', ['algorithm'], unique=False)
    op.create_table('oidc_tokens',
    sa.Column('token_sha256', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('family', sa.String(length=64), nullable=False),
    sa.Column('client_id', sa.String(length=100), nullable=False),
    sa.Column('account_id', sa.String(length=64), nullable=False),
    sa.Column('session_id', sa.String(length=64), nullable=False),
    sa.Column('scope', sa.String(length=200), nullable=False),
    sa.Column('issued_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('session_expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('token_sha256', name=op.f('pk_oidc_tokens'))
    )
    op.create_index(op.f('ix_oidc_tokens_expires_at'), 'oidc_tokens', ['expires_at'], unique=False)
    op.create_index(op.f('ix_oidc_tokens_family'), 'oidc_tokens', ['family'], unique=False)
    op.create_index(op.f('ix_oidc_tokens_session_id'), 'oidc_tokens', ['session_id'], unique=False)
    op.create_table('identity_accounts',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('username', sa.String(length=40), nullable=False),
    sa.Column('display_name', sa.String(length=100), nullable=False),
    sa.Column('organization_id', sa.String(length=40), nullable=False),
    sa.Column('status', sa.String(length=10), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_login_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('password_hash', sa.String(length=300), nullable=False),
    sa.Column('password_changed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('totp_sealed', sa.LargeBinary(), nullable=False),
    sa.Column('totp_last_step', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['organization_id'], ['identity_organizations.id'], name=op.f('fk_identity_accounts_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_accounts')),
    sa.UniqueConstraint('username', name=op.f('uq_identity_accounts_username'))
    )
    op.create_index(op.f('ix_identity_accounts_organization_id'), 'identity_accounts', ['organization_id'], unique=False)
    op.create_table('identity_account_roles',
    sa.Column('account_id', sa.String(length=32), nullable=False),
    sa.Column('role', sa.String(length=30), nullable=False),
    sa.Column('granted_by', sa.String(length=32), nullable=False),
    sa.Column('granted_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['identity_accounts.id'], name=op.f('fk_identity_account_roles_account_id')),
    sa.PrimaryKeyConstraint('account_id', 'role', name=op.f('pk_identity_account_roles'))
    )
    op.create_table('identity_certificate_bindings',
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('serial', sa.String(length=64), nullable=False),
    sa.Column('account_id', sa.String(length=32), nullable=False),
    sa.Column('bound_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('bound_by', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['identity_accounts.id'], name=op.f('fk_identity_certificate_bindings_account_id')),
    sa.PrimaryKeyConstraint('fingerprint', name=op.f('pk_identity_certificate_bindings'))
    )
    op.create_index(op.f('ix_identity_certificate_bindings_account_id'), 'identity_certificate_bindings', ['account_id'], unique=False)
    op.create_index(op.f('ix_identity_certificate_bindings_serial'), 'identity_certificate_bindings', ['serial'], unique=False)
    op.create_table('identity_known_places',
    sa.Column('account_id', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('place', sa.String(length=64), nullable=False),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['identity_accounts.id'], name=op.f('fk_identity_known_places_account_id')),
    sa.PrimaryKeyConstraint('account_id', 'kind', 'place', name=op.f('pk_identity_known_places'))
    )
    op.create_index(op.f('ix_identity_known_places_last_seen_at'), 'identity_known_places', ['last_seen_at'], unique=False)
    op.create_table('identity_sessions',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('account_id', sa.String(length=32), nullable=False),
    sa.Column('auth_time', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('amr', sa.String(length=60), nullable=False),
    sa.Column('acr', sa.String(length=60), nullable=False),
    sa.Column('certificate_serial', sa.String(length=64), nullable=True),
    sa.Column('source_ip', sa.String(length=64), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('end_reason', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['identity_accounts.id'], name=op.f('fk_identity_sessions_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_sessions')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_identity_sessions_token_hash'))
    )
    op.create_index(op.f('ix_identity_sessions_certificate_serial'), 'identity_sessions', ['certificate_serial'], unique=False)
    op.create_index('ix_identity_sessions_live', 'identity_sessions', ['account_id', 'ended_at'], unique=False)
    op.create_table('ca_certificates',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('serial', sa.String(length=40), nullable=False),
    sa.Column('profile', sa.String(length=30), nullable=False),
    sa.Column('common_name', sa.String(length=64), nullable=False),
    sa.Column('organization', sa.String(length=64), nullable=False),
    sa.Column('account_id', sa.String(length=64), nullable=False),
    sa.Column('issuer_sha256', sa.String(length=64), nullable=False),
    sa.Column('key_sha256', sa.String(length=64), nullable=False),
    sa.Column('subject_sha256', sa.String(length=64), nullable=False),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=False),
    sa.Column('not_after', sa.DateTime(timezone=True), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('requested_by', sa.String(length=200), nullable=False),
    sa.Column('approved_by', sa.String(length=200), nullable=False),
    sa.Column('tbs', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ca_certificates')),
    sa.UniqueConstraint('serial', name=op.f('uq_ca_certificates_serial')),
    info={'append_only': True},
    sqlite_autoincrement=True
    )
    op.create_index(op.f('ix_ca_certificates_account_id'), 'ca_certificates', ['account_id'], unique=False)
    op.create_index(op.f('ix_ca_certificates_key_sha256'), 'ca_certificates', ['key_sha256'], unique=False)
    op.create_index(op.f('ix_ca_certificates_recorded_at'), 'ca_certificates', ['recorded_at'], unique=False)
    op.create_table('ca_crls',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('issuer_sha256', sa.String(length=64), nullable=False),
    sa.Column('this_update', sa.DateTime(timezone=True), nullable=False),
    sa.Column('next_update', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_revocation', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('entries', sa.Integer(), nullable=False),
    sa.Column('der', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_ca_crls')),
    info={'append_only': True}
    )
    op.create_index(op.f('ix_ca_crls_this_update'), 'ca_crls', ['this_update'], unique=False)
    op.create_table('ca_events',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.String(length=30), nullable=False),
    sa.Column('serial', sa.String(length=40), nullable=False),
    sa.Column('actor', sa.String(length=200), nullable=False),
    sa.Column('detail', sa.String(length=1000), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ca_events')),
    info={'append_only': True},
    sqlite_autoincrement=True
    )
    op.create_index(op.f('ix_ca_events_at'), 'ca_events', ['at'], unique=False)
    op.create_table('ca_revocations',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('certificate_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('reason', sa.String(length=30), nullable=False),
    sa.Column('actor', sa.String(length=200), nullable=False),
    sa.ForeignKeyConstraint(['certificate_id'], ['ca_certificates.id'], name=op.f('fk_ca_revocations_certificate_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ca_revocations')),
    sa.UniqueConstraint('certificate_id', name=op.f('uq_ca_revocations_certificate_id')),
    info={'append_only': True},
    sqlite_autoincrement=True
    )
    op.create_index(op.f('ix_ca_revocations_revoked_at'), 'ca_revocations', ['revoked_at'], unique=False)
    op.create_table('ca_signed',
    sa.Column('certificate_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('signed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('fingerprint_sha256', sa.String(length=64), nullable=False),
    sa.Column('der', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['certificate_id'], ['ca_certificates.id'], name=op.f('fk_ca_signed_certificate_id')),
    sa.PrimaryKeyConstraint('certificate_id', name=op.f('pk_ca_signed')),
    info={'append_only': True}
    )
    op.create_index(op.f('ix_ca_signed_fingerprint_sha256'), 'ca_signed', ['fingerprint_sha256'], unique=False)
    for table in APPEND_ONLY:
        for statement in append_only_ddl(table, op.get_context().dialect.name):
            op.get_bind().exec_driver_sql(statement)
