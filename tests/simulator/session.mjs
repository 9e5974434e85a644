// A session of the official Node library: one call a line. It prints what came of each call as JSON.
//
//   node session.mjs http://127.0.0.1:12111
//
// `call` is for what succeeds at Stripe, `refused` for what Stripe refuses, too.

import Stripe from 'stripe';

const base = new URL(process.argv[2]);
const stripe = new Stripe('sk_test_fake_node', {
  protocol: 'http',
  host: base.hostname,
  port: base.port,
  maxNetworkRetries: 0,
  telemetry: false,
});
const results = [];

async function run(name, expected, act) {
  try {
    const value = await act();
    results.push({name, expected, error: null});
    return value;
  } catch (error) {
    results.push({
      name,
      expected,
      error: {type: error.type, code: error.code ?? null, message: error.message},
    });
    return {};
  }
}
const call = (name, act) => run(name, 'success', act);
const refused = (name, act) => run(name, 'error', act);

// Products, prices, coupons
const product = await call('products.create', () =>
  stripe.products.create({name: 'Team', description: 'For teams', metadata: {plan: 'team'}}));
await call('products.retrieve', () => stripe.products.retrieve(product.id));
await call('products.update', () => stripe.products.update(product.id, {description: 'For large teams'}));
await call('products.list', () => stripe.products.list({active: true, limit: 3}));
await call('products.search', () => stripe.products.search({query: "metadata['plan']:'team'"}));
const monthly = await call('prices.create', () =>
  stripe.prices.create({
    product: product.id, currency: 'eur', unit_amount: 2900, recurring: {interval: 'month'}, lookup_key: 'team'}));
const yearly = await call('prices.create yearly', () =>
  stripe.prices.create({product: product.id, currency: 'eur', unit_amount: 29000, recurring: {interval: 'year'}}));
const seat = await call('prices.create with product_data', () =>
  stripe.prices.create({
    product_data: {name: 'Seat'}, currency: 'eur', unit_amount: 500, recurring: {interval: 'month'}}));
const fee = await call('prices.create one-time', () =>
  stripe.prices.create({product: product.id, currency: 'eur', unit_amount: 9900}));
await call('prices.retrieve', () => stripe.prices.retrieve(monthly.id, {expand: ['product']}));
await call('prices.update', () => stripe.prices.update(monthly.id, {nickname: 'Monthly', metadata: {a: 'b'}}));
await call('prices.list by lookup key', () => stripe.prices.list({lookup_keys: ['team'], expand: ['data.product']}));
await call('prices.search', () => stripe.prices.search({query: "active:'true' AND lookup_key:'team'"}));
await call('products.update default price', () => stripe.products.update(product.id, {default_price: monthly.id}));
const coupon = await call('coupons.create', () =>
  stripe.coupons.create({percent_off: 20, duration: 'repeating', duration_in_months: 3, name: 'Spring'}));
await call('coupons.create with id', () =>
  stripe.coupons.create({id: 'TENOFF', amount_off: 1000, currency: 'eur', duration: 'once'}));
await call('coupons.retrieve', () => stripe.coupons.retrieve('TENOFF'));
await call('coupons.list', () => stripe.coupons.list());
const code = await call('promotionCodes.create', () =>
  stripe.promotionCodes.create({promotion: {type: 'coupon', coupon: coupon.id}, code: 'SPRING20'}));
await call('promotionCodes.list', () => stripe.promotionCodes.list({code: 'SPRING20', active: true}));
await call('promotionCodes.update', () => stripe.promotionCodes.update(code.id, {metadata: {campaign: 'spring'}}));
const rate = await call('taxRates.create', () =>
  stripe.taxRates.create({display_name: 'VAT', inclusive: false, percentage: 19, country: 'DE'}));
await call('taxRates.list', () => stripe.taxRates.list({active: true}));
await call('taxRates.update', () => stripe.taxRates.update(rate.id, {description: 'Value added tax'}));

// Customers, cards, tax ids
const customer = await call('customers.create', () =>
  stripe.customers.create({
    email: 'ada@example.com', name: 'Ada', phone: '+4930000000', metadata: {user_id: 'user_ada'},
    address: {line1: 'Example street 1', city: 'Berlin', country: 'DE'}, tax_exempt: 'none'}));
await call('customers.retrieve', () => stripe.customers.retrieve(customer.id, {expand: ['subscriptions', 'tax_ids']}));
await call('customers.update', () => stripe.customers.update(customer.id, {metadata: {team: 'a'}, description: 'First'}));
await call('customers.list', () => stripe.customers.list({email: 'ada@example.com'}));
await call('customers.search', () => stripe.customers.search({query: "email:'ada@example.com' AND metadata['user_id']:'user_ada'"}));
const card = await call('paymentMethods.create', () =>
  stripe.paymentMethods.create({type: 'card', card: {token: 'tok_visa'}}));
await call('paymentMethods.attach', () => stripe.paymentMethods.attach(card.id, {customer: customer.id}));
await call('customers.update default card', () =>
  stripe.customers.update(customer.id, {invoice_settings: {default_payment_method: card.id}}));
await call('customers.listPaymentMethods', () => stripe.customers.listPaymentMethods(customer.id, {type: 'card'}));
await call('paymentMethods.list', () => stripe.paymentMethods.list({customer: customer.id, type: 'card'}));
await call('paymentMethods.update', () =>
  stripe.paymentMethods.update(card.id, {billing_details: {name: 'Ada L.'}, metadata: {main: 'true'}}));
const taxId = await call('customers.createTaxId', () =>
  stripe.customers.createTaxId(customer.id, {type: 'eu_vat', value: 'DE123456789'}));
await call('customers.listTaxIds', () => stripe.customers.listTaxIds(customer.id));
await call('customers.deleteTaxId', () => stripe.customers.deleteTaxId(customer.id, taxId.id));
const intent = await call('setupIntents.create', () =>
  stripe.setupIntents.create({customer: customer.id, usage: 'off_session'}));
await call('setupIntents.confirm', () => stripe.setupIntents.confirm(intent.id, {payment_method: 'pm_card_mastercard'}));
await call('setupIntents.retrieve', () => stripe.setupIntents.retrieve(intent.id));
await call('customers.createBalanceTransaction', () =>
  stripe.customers.createBalanceTransaction(customer.id, {amount: -500, currency: 'eur', description: 'Credit'}));
await call('customers.listBalanceTransactions', () => stripe.customers.listBalanceTransactions(customer.id));

// Subscriptions and their items
const subscription = await call('subscriptions.create', () =>
  stripe.subscriptions.create({
    customer: customer.id, items: [{price: monthly.id, quantity: 2}], metadata: {user_id: 'user_ada'},
    discounts: [{coupon: coupon.id}], expand: ['latest_invoice.confirmation_secret', 'discounts']}));
await call('subscriptions.retrieve', () =>
  stripe.subscriptions.retrieve(subscription.id, {expand: ['customer', 'items.data.price.product', 'latest_invoice.payments']}));
await call('subscriptions.list', () => stripe.subscriptions.list({customer: customer.id, status: 'all'}));
await call('subscriptions.search', () => stripe.subscriptions.search({query: "status:'active' AND metadata['user_id']:'user_ada'"}));
const item = subscription.items?.data[0] ?? {};
await call('subscriptions.update quantity', () =>
  stripe.subscriptions.update(subscription.id, {items: [{id: item.id, quantity: 3}], proration_behavior: 'always_invoice'}));
await call('subscriptions.update description', () =>
  stripe.subscriptions.update(subscription.id, {description: 'Team plan', metadata: {tier: 'gold'}}));
const second = await call('subscriptionItems.create', () =>
  stripe.subscriptionItems.create({subscription: subscription.id, price: seat.id, quantity: 4}));
await call('subscriptionItems.update', () => stripe.subscriptionItems.update(second.id, {quantity: 5}));
await call('subscriptionItems.retrieve', () => stripe.subscriptionItems.retrieve(second.id));
await call('subscriptionItems.list', () => stripe.subscriptionItems.list({subscription: subscription.id}));
await call('subscriptionItems.del', () => stripe.subscriptionItems.del(second.id, {proration_behavior: 'none'}));
await call('invoices.createPreview', () =>
  stripe.invoices.createPreview({
    subscription: subscription.id,
    subscription_details: {items: [{id: item.id, price: yearly.id}], proration_behavior: 'always_invoice'}}));
await call('invoices.createPreview of a customer', () =>
  stripe.invoices.createPreview({customer: customer.id, subscription_details: {items: [{price: yearly.id}]}}));
await call('subscriptions.update pause_collection', () =>
  stripe.subscriptions.update(subscription.id, {pause_collection: {behavior: 'void'}}));
await call('subscriptions.update collection goes on', () =>
  stripe.subscriptions.update(subscription.id, {pause_collection: ''}));
await call('subscriptions.pause', () => stripe.subscriptions.pause(subscription.id, {type: 'subscription'}));
await call('subscriptions.resume', () => stripe.subscriptions.resume(subscription.id, {billing_cycle_anchor: {type: 'now'}}));
await call('subscriptions.update cancel later', () =>
  stripe.subscriptions.update(subscription.id, {
    cancel_at_period_end: true, cancellation_details: {comment: 'Too large', feedback: 'other'}}));
await call('subscriptions.update go on', () => stripe.subscriptions.update(subscription.id, {cancel_at_period_end: false}));
await call('subscriptions.update default card', () =>
  stripe.subscriptions.update(subscription.id, {default_payment_method: card.id}));
await call('subscriptions.update yearly', () =>
  stripe.subscriptions.update(subscription.id, {
    items: [{id: item.id, price: yearly.id}], payment_behavior: 'pending_if_incomplete', proration_behavior: 'always_invoice'}));
await call('subscriptions.deleteDiscount', () => stripe.subscriptions.deleteDiscount(subscription.id));
const trial = await call('subscriptions.create trial', () =>
  stripe.subscriptions.create({
    customer: customer.id, items: [{price: seat.id}], trial_period_days: 14,
    trial_settings: {end_behavior: {missing_payment_method: 'pause'}}, payment_behavior: 'default_incomplete'}));

// Schedules
const schedule = await call('subscriptionSchedules.create', () =>
  stripe.subscriptionSchedules.create({from_subscription: trial.id}));
const phase = schedule.phases?.[0] ?? {};
await call('subscriptionSchedules.update', () =>
  stripe.subscriptionSchedules.update(schedule.id, {
    end_behavior: 'release',
    phases: [
      {items: [{price: seat.id, quantity: 1}], start_date: phase.start_date, end_date: phase.end_date},
      {items: [{price: monthly.id, quantity: 1}], duration: {interval: 'month', interval_count: 1}},
    ]}));
await call('subscriptionSchedules.retrieve', () => stripe.subscriptionSchedules.retrieve(schedule.id));
await call('subscriptionSchedules.list', () => stripe.subscriptionSchedules.list({customer: customer.id}));
await refused('subscriptions.update under a schedule', () =>
  stripe.subscriptions.update(trial.id, {cancel_at_period_end: true}));
await call('subscriptionSchedules.release', () => stripe.subscriptionSchedules.release(schedule.id));

// Invoices
await call('invoices.list', () => stripe.invoices.list({customer: customer.id, status: 'paid', limit: 2}));
const paid = await call('invoices.retrieve', () => stripe.invoices.retrieve(subscription.latest_invoice.id, {expand: ['payments']}));
await call('invoices.listLineItems', () => stripe.invoices.listLineItems(paid.id, {limit: 5}));
await call('invoices.search', () => stripe.invoices.search({query: "status:'paid' AND total>100"}));
const extra = await call('invoiceItems.create', () =>
  stripe.invoiceItems.create({customer: customer.id, amount: 1500, currency: 'eur', description: 'Set-up'}));
await call('invoiceItems.update', () => stripe.invoiceItems.update(extra.id, {description: 'Set-up fee'}));
await call('invoiceItems.create with a price', () =>
  stripe.invoiceItems.create({customer: customer.id, pricing: {price: fee.id}}));
await call('invoiceItems.list', () => stripe.invoiceItems.list({customer: customer.id}));
const draft = await call('invoices.create', () =>
  stripe.invoices.create({
    customer: customer.id, collection_method: 'send_invoice', days_until_due: 14, currency: 'eur',
    pending_invoice_items_behavior: 'include', metadata: {order: '1'}}));
await call('invoices.update', () => stripe.invoices.update(draft.id, {description: 'Thanks'}));
await call('invoices.finalizeInvoice', () => stripe.invoices.finalizeInvoice(draft.id));
await call('invoices.sendInvoice', () => stripe.invoices.sendInvoice(draft.id));
await call('invoices.pay', () => stripe.invoices.pay(draft.id, {payment_method: card.id}));
const other = await call('invoices.create empty', () => stripe.invoices.create({customer: customer.id}));
await call('invoices.del', () => stripe.invoices.del(other.id));
await call('invoiceItems.create for a void one', () =>
  stripe.invoiceItems.create({customer: customer.id, amount: 100, currency: 'eur'}));
const voided = await call('invoices.create to void', () =>
  stripe.invoices.create({customer: customer.id, pending_invoice_items_behavior: 'include'}));
await call('invoices.finalizeInvoice to void', () => stripe.invoices.finalizeInvoice(voided.id));
await call('invoices.voidInvoice', () => stripe.invoices.voidInvoice(voided.id));
await call('invoicePayments.list', () => stripe.invoicePayments.list({invoice: paid.id}));
const charges = await call('charges.list', () => stripe.charges.list({customer: customer.id}));
const charge = charges.data?.[0] ?? {};
await call('charges.retrieve', () => stripe.charges.retrieve(charge.id));
await call('paymentIntents.retrieve', () => stripe.paymentIntents.retrieve(charge.payment_intent, {expand: ['latest_charge']}));
await call('refunds.create', () => stripe.refunds.create({charge: charge.id, amount: 100, reason: 'requested_by_customer'}));
await call('refunds.list', () => stripe.refunds.list({charge: charge.id}));
await call('creditNotes.create', () => stripe.creditNotes.create({invoice: paid.id, amount: 100, credit_amount: 100}));

// Checkout and portal
const session = await call('checkout.sessions.create', () =>
  stripe.checkout.sessions.create({
    mode: 'subscription', line_items: [{price: monthly.id, quantity: 1}], client_reference_id: 'user_bob',
    success_url: 'https://app.example/welcome?session={CHECKOUT_SESSION_ID}', allow_promotion_codes: true,
    automatic_tax: {enabled: true}, tax_id_collection: {enabled: true}, locale: 'de',
    subscription_data: {trial_period_days: 7, metadata: {user_id: 'user_bob'}}}));
await call('checkout.sessions.create embedded', () =>
  stripe.checkout.sessions.create({
    mode: 'subscription', ui_mode: 'embedded_page', line_items: [{price: monthly.id, quantity: 1}],
    return_url: 'https://app.example/back', discounts: [{promotion_code: code.id}]}));
await call('checkout.sessions.retrieve', () => stripe.checkout.sessions.retrieve(session.id, {expand: ['line_items']}));
await call('checkout.sessions.listLineItems', () => stripe.checkout.sessions.listLineItems(session.id));
await call('checkout.sessions.expire', () => stripe.checkout.sessions.expire(session.id));
await call('billingPortal.configurations.create', () =>
  stripe.billingPortal.configurations.create({
    business_profile: {headline: 'Example'}, features: {invoice_history: {enabled: true}}}));
await call('billingPortal.sessions.create', () =>
  stripe.billingPortal.sessions.create({
    customer: customer.id, return_url: 'https://app.example/billing',
    flow_data: {type: 'subscription_cancel', subscription_cancel: {subscription: subscription.id}}}));

// Events, endpoints, destinations, the account
const events = await call('events.list', () => stripe.events.list({types: ['invoice.paid', 'customer.created'], limit: 5}));
await call('events.retrieve', () => stripe.events.retrieve(events.data[0].id));
const thin = await call('v2.core.events.list', () => stripe.v2.core.events.list({object_id: subscription.id}));
await call('v2.core.events.retrieve', () => stripe.v2.core.events.retrieve(thin.data[0].id));
const endpoint = await call('webhookEndpoints.create', () =>
  stripe.webhookEndpoints.create({url: 'https://app.example/hook', enabled_events: ['invoice.paid']}));
await call('webhookEndpoints.update', () => stripe.webhookEndpoints.update(endpoint.id, {disabled: true}));
await call('webhookEndpoints.del', () => stripe.webhookEndpoints.del(endpoint.id));
const destination = await call('v2.core.eventDestinations.create', () =>
  stripe.v2.core.eventDestinations.create({
    name: 'Thin', type: 'webhook_endpoint', event_payload: 'thin', enabled_events: ['v1.invoice.paid'],
    webhook_endpoint: {url: 'https://app.example/thin'}, include: ['webhook_endpoint.signing_secret']}));
await call('v2.core.eventDestinations.ping', () => stripe.v2.core.eventDestinations.ping(destination.id));
await call('v2.core.eventDestinations.disable', () => stripe.v2.core.eventDestinations.disable(destination.id));
await call('accounts.retrieveCurrent', () => stripe.accounts.retrieveCurrent());
await call('subscriptions.cancel', () => stripe.subscriptions.cancel(subscription.id));

// What Stripe refuses, too
await refused('customers.retrieve unknown', () => stripe.customers.retrieve('cus_unknown'));
await refused('subscriptions.create without items', () => stripe.subscriptions.create({customer: customer.id, items: []}));
await refused('customers.create misspelt', () => stripe.customers.create({emial: 'a@example.com'}));
await refused('prices.create with a taken key', () =>
  stripe.prices.create({product: product.id, currency: 'eur', unit_amount: 1, lookup_key: 'team'}));
await refused('coupons.create with both', () => stripe.coupons.create({percent_off: 1, amount_off: 1, currency: 'eur'}));
await refused('paymentMethods.attach refused card', () =>
  stripe.paymentMethods.attach('pm_card_chargeDeclined', {customer: customer.id}));
await refused('invoices.pay again', () => stripe.invoices.pay(draft.id));
await refused('subscriptions.cancel again', () => stripe.subscriptions.cancel(subscription.id));
await refused('subscriptions.resume active', () => stripe.subscriptions.resume(trial.id));
await refused('customers.search misspelt', () => stripe.customers.search({query: 'colour:"red"'}));
await refused('products.del with prices', () => stripe.products.del(product.id));
await refused('refunds.create too much', () => stripe.refunds.create({charge: charge.id, amount: 99999999}));

console.log(JSON.stringify(results));
