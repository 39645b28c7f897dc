DROP TRIGGER tenants_state ON tenants;
DROP TRIGGER tenants_closed_stay ON tenants;
DROP FUNCTION refuse_state_of_tenant();
